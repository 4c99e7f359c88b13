# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators that write files for other programs; each asks where, in Blender's file browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from ...errors import EditError
from ...export import files as export_files
from ...export import portable_copy
from ...jobs import folders
from ...protocol.cache_folder import home_folder
from ...scene import planes
from .common import Result, poll_sequence, run

# How long one turn of Blender's main loop may write files.
_BUDGET_S = 0.1


def _opened() -> Path:
    """Return the path of the open file; of one that was never saved, a name in the home folder."""
    if bpy.data.filepath:
        return Path(bpy.data.filepath)
    return (home_folder() or Path.cwd()) / "untitled"


class _SequenceExport:
    """An export that needs an image with a sequence."""

    @classmethod
    def poll(cls: Any, context: bpy.types.Context) -> bool:
        return poll_sequence(cls, context)


class DRAGGAN_OT_export_frames(_SequenceExport, bpy.types.Operator):
    """Write the images as the timeline shows them, one file per frame, into a folder"""

    bl_idname = "draggan.export_frames"
    bl_label = "Export Images"
    bl_options = {"REGISTER"}

    directory: StringProperty(
        name="Folder",
        description="The folder that the images are written into",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})
    file_format: EnumProperty(
        name="Format",
        description="The file format of the images",
        items=(
            ("PNG", "PNG", "The images as they are: 8 bits per channel, sRGB"),
            ("OPEN_EXR", "OpenEXR", "Half float and scene-linear, for compositing"),
        ),
        default="PNG",
    )

    _files: Iterator[Path]
    _timer: Any
    _count: int

    def invoke(self, context: bpy.types.Context, _event: Any) -> Result:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Result:
        # In a window a few files are written at a time, so that Blender stays responsive.
        plane, self._count = planes.require_active(context), 0
        folder = _path(self.directory)

        def begin() -> None:
            if not self.directory:
                raise EditError("No folder was chosen to export to; choose one")
            self._files = export_files.frames(plane, folder, self.file_format)

        begun = run(self, begin)
        if begun != {"FINISHED"}:
            return begun
        if context.window is None or bpy.app.background:
            return run(self, self._write_all)
        self._timer = context.window_manager.event_timer_add(0.01, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: Any) -> Result:
        if event.type == "ESC":
            return self._finish(context, {"CANCELLED"})
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        more = False

        def write() -> None:
            nonlocal more
            more = self._write(_BUDGET_S)

        written = run(self, write)
        context.workspace.status_text_set(f"Exporting: {self._count} images   Esc: stop")
        return {"RUNNING_MODAL"} if more else self._finish(context, written)

    def _write_all(self) -> None:
        self._write(float("inf"))

    def _write(self, budget_s: float) -> bool:
        """Write files for at most this time, but at least one; return whether there are more."""
        until_s = time.monotonic() + budget_s
        for _path in self._files:
            self._count += 1
            if time.monotonic() >= until_s:
                return True
        return False

    def _finish(self, context: bpy.types.Context, result: Result) -> Result:
        context.window_manager.event_timer_remove(self._timer)
        context.workspace.status_text_set(None)
        self.report({"INFO"}, f"Exported {self._count} images to {self.directory}")
        return result


class _FileExport(_SequenceExport, ExportHelper):
    """An export of one file, whose suggested name is that of the image."""

    filename_ext = ""

    def invoke(self, context: bpy.types.Context, event: Any) -> Result:  # type: ignore[override]
        properties: Any = getattr(self, "properties")  # noqa: B009  (of the operator)
        if not properties.filepath:
            stem = folders.stem_of(planes.require_active(context))
            folder = (
                Path(bpy.data.filepath).parent
                if bpy.data.filepath
                else (home_folder() or Path.cwd())
            )
            properties.filepath = str(folder / f"{stem}{self.filename_ext}")
        result: Result = ExportHelper.invoke(self, context, event)  # type: ignore[assignment]
        return result


class DRAGGAN_OT_export_video(_FileExport, bpy.types.Operator):
    """Write the images as the timeline shows them as a video file, with Blender's own encoder"""

    bl_idname = "draggan.export_video"
    bl_label = "Export Video"
    bl_options = {"REGISTER"}

    filename_ext = ".mp4"
    filter_glob: StringProperty(default="*.mp4", options={"HIDDEN"})
    scale: IntProperty(
        name="Scale",
        description="How many times as wide and high as the images the video is",
        default=1,
        min=1,
        max=16,
    )
    quality: EnumProperty(
        name="Quality",
        description="How well the images are kept",
        items=(
            ("LOSSLESS", "Lossless", "The images as they are; not every player can show them"),
            ("PERC_LOSSLESS", "Very High", "Losses that can hardly be seen"),
            ("HIGH", "High", "Small losses"),
            ("MEDIUM", "Medium", "A small file"),
            ("LOW", "Low", "A very small file, for a quick look"),
        ),
        default="HIGH",
    )
    use_range: BoolProperty(
        name="Range", description="Write only a part of the sequence", default=False
    )
    frame_start: IntProperty(name="Start", description="The first frame to write", default=1)
    frame_end: IntProperty(name="End", description="The last frame to write", default=250)

    def invoke(self, context: bpy.types.Context, event: Any) -> Result:  # type: ignore[override]
        sequence = planes.require_active(context).draggan.sequence
        if not self.use_range:
            self.frame_start = sequence.first_frame
            self.frame_end = sequence.first_frame + sequence.frame_count - 1
        return _FileExport.invoke(self, context, event)

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(self, "scale")
        layout.prop(self, "quality")
        layout.prop(self, "use_range")
        column = layout.column(align=True)
        column.active = self.use_range
        column.prop(self, "frame_start")
        column.prop(self, "frame_end")

    def execute(self, context: bpy.types.Context) -> Result:
        plane, path = planes.require_active(context), _path(self.properties.filepath)
        span = range(self.frame_start, self.frame_end + 1) if self.use_range else None

        def write() -> None:
            count = export_files.video(
                plane, path, scale=self.scale, quality=self.quality, span=span
            )
            self.report({"INFO"}, f"Saved {path}, {count} frames")

        return run(self, write)


class DRAGGAN_OT_export_track(_FileExport, bpy.types.Operator):
    """Write the track file, which holds the latents that every image can be rendered again from"""

    bl_idname = "draggan.export_track"
    bl_label = "Export Track"
    bl_options = {"REGISTER"}

    filename_ext = ".npz"
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        return run(self, lambda: export_files.track(plane, _path(self.properties.filepath)))


class DRAGGAN_OT_bake_down(bpy.types.Operator, ExportHelper):
    """Save a copy of this file, with its image sequences, that works without this extension"""

    bl_idname = "draggan.bake_down"
    bl_label = "Save Portable Copy"
    bl_options = {"REGISTER"}

    filename_ext = ".blend"
    filter_glob: StringProperty(default="*.blend", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: Any) -> Result:  # type: ignore[override]
        properties: Any = getattr(self, "properties")  # noqa: B009  (of the operator)
        if not properties.filepath:
            opened = (
                Path(bpy.data.filepath)
                if bpy.data.filepath
                else (home_folder() or Path.cwd()) / "untitled"
            )
            self.properties.filepath = str(opened.with_name(f"{opened.stem}_baked.blend"))
        result: Result = ExportHelper.invoke(self, context, event)  # type: ignore[assignment]
        return result

    def execute(self, _context: bpy.types.Context) -> Result:
        def save() -> None:
            folder = portable_copy.bake_down(_path(self.properties.filepath))
            self.report({"INFO"}, f"Saved the copy; pass it on together with the folder {folder}")

        return run(self, save)


def _path(chosen: str) -> Path:
    """Return the absolute path for a path that the file browser or a script has set."""
    return Path(bpy.path.abspath(chosen)).absolute()


CLASSES = (
    DRAGGAN_OT_export_frames,
    DRAGGAN_OT_export_video,
    DRAGGAN_OT_export_track,
    DRAGGAN_OT_bake_down,
)
