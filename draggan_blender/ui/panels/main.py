# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Engine*, *Image*, *Points* and *Drag* panels, in the order of use: layout only."""

from __future__ import annotations

from typing import Any

import bpy

from ... import preferences
from ...connection import pump, session
from ...connection.session import EnginePhase
from ...package import ROOT_PACKAGE
from ...protocol.settings import in_panel
from ...scene import images, planes, points
from .text import Icon, draw_text

# The groups of drag options above the mask, in the order in which they are shown.
_GROUPS = ("method", "ending", "features", "tuning")


class _Panel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "DragGAN"

    layout: bpy.types.UILayout


class ImagePanel(_Panel):
    """A panel that is shown only while a GAN image is active."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return planes.active(context) is not None


class DRAGGAN_PT_engine(_Panel, bpy.types.Panel):
    """The state of the engine, its last error, and starting or stopping it."""

    bl_idname = "DRAGGAN_PT_engine"
    bl_label = "Engine"

    def draw(self, _context: bpy.types.Context) -> None:
        layout, state = self.layout, pump.state()
        if state.error:
            _draw_error(layout, state.error)
        if state.engine is not EnginePhase.FAILED:
            icon: Icon = "CHECKMARK" if state.engine is EnginePhase.READY else "INFO"
            draw_text(layout, _engine_sentence(state), icon)
        if state.engine in (EnginePhase.OFF, EnginePhase.FAILED):
            stored = preferences.get()
            if stored is not None:
                row = layout.row()
                row.use_property_split = True
                row.use_property_decorate = False
                row.prop(stored, "device")
            layout.operator("draggan.engine_start", icon="PLAY")
        elif state.engine is not EnginePhase.STOPPING:
            layout.operator("draggan.engine_stop", icon="CANCEL")


class DRAGGAN_PT_image(_Panel, bpy.types.Panel):
    """The model and the seed of the active image, or of the next one if none is active."""

    bl_idname = "DRAGGAN_PT_image"
    bl_label = "Image"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        plane = planes.active(context)
        source = (plane or context.scene).draggan.source
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(source, "kind")
        if source.kind == "FILE":
            column.prop(source, "path")
        column.prop(source, "seed")
        column.prop(source, "truncation_psi")
        row = layout.row(align=True)
        row.operator("draggan.new_image", icon="ADD")
        if plane is not None:
            row.operator("draggan.resample", icon="FILE_REFRESH")
        transform = context.scene.view_settings.view_transform
        if plane is not None and transform != "Standard":
            box = layout.box().column(align=True)
            draw_text(box, f"View transform {transform} changes the image's colours", "INFO")
            box.operator("draggan.use_standard_view")


class DRAGGAN_UL_pairs(bpy.types.UIList):
    """A line for each pair: whether it is enabled, its name and its influence."""

    bl_idname = "DRAGGAN_UL_pairs"

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: Any,
        item: Any,
        icon: int | None,
        active_data: Any,
        active_property: str | None,
        index: int | None = 0,
        flt_flag: int | None = 0,
    ) -> None:
        row = layout.row(align=True)
        row.prop(item, "enabled", text="")
        gone = [
            name
            for name, point in (("handle", item.handle), ("target", item.target))
            if points.is_gone(point, context.scene)
        ]
        if gone:
            row.label(text=f"{item.name}: no {' and no '.join(gone)}", icon="ERROR")
            return
        row.prop(item, "name", text="", emboss=False)
        row.prop(item, "influence", text="")


class DRAGGAN_PT_points(ImagePanel, bpy.types.Panel):
    """The list of the image's pairs of points, and adding and removing them."""

    bl_idname = "DRAGGAN_PT_points"
    bl_label = "Points"

    def draw(self, context: bpy.types.Context) -> None:
        settings = planes.require_active(context).draggan
        row = self.layout.row()
        row.template_list(
            "DRAGGAN_UL_pairs", "", settings, "pairs", settings, "active_pair", rows=3
        )
        buttons = row.column(align=True)
        buttons.operator("draggan.add_pair", text="", icon="ADD")
        buttons.operator("draggan.remove_pair", text="", icon="REMOVE")


class DRAGGAN_PT_drag(ImagePanel, bpy.types.Panel):
    """Starting a drag, its progress and its result."""

    bl_idname = "DRAGGAN_PT_drag"
    bl_label = "Drag"

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, pump.state()
        plane = planes.require_active(context)
        settings = plane.draggan
        if settings.request_id and not settings.baking:
            draw_progress(layout, settings, state)
            layout.operator("draggan.stop", icon="SNAP_FACE")
        else:
            column = layout.column()
            column.scale_y = 1.4
            column.operator("draggan.drag", icon="PLAY")
        if not images.shows_bake(plane):
            draw_status(layout, settings, state)
        row = layout.row(align=True)
        row.operator("draggan.reset", icon="LOOP_BACK")
        row.operator("draggan.render_again", icon="RENDER_ANIMATION")


class DRAGGAN_PT_settings(ImagePanel, bpy.types.Panel):
    """The options of drags and bakes, the mask, and the folder that images are written into."""

    bl_idname = "DRAGGAN_PT_settings"
    bl_label = "Settings"
    bl_parent_id = "DRAGGAN_PT_drag"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        settings = planes.require_active(context).draggan
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        for group in _GROUPS:
            _draw_options(layout, settings.drag, group)
        column = layout.column()
        column.template_ID(settings, "mask", new="image.new", open="image.open", text="Mask")
        _draw_options(layout, settings.drag, "mask")
        layout.prop(settings, "folder")


def _draw_options(layout: bpy.types.UILayout, drag: Any, group: str) -> None:
    """Draw the options of a group that the chosen method uses."""
    column = layout.column(align=True)
    for name in in_panel(group, drag.method):
        column.prop(drag, name)


def _engine_sentence(state: session.State) -> str:
    """Return what the engine is doing; while it is ready, its jobs are shown in other panels."""
    if state.ready is not None and state.engine is EnginePhase.READY:
        return f"Ready on {state.ready.device_name}"
    return session.describe(state)


def draw_status(layout: bpy.types.UILayout, settings: Any, state: session.State) -> None:
    """Draw how the last request of a GAN image ended."""
    if settings.failed and settings.status == state.error:
        draw_text(layout, "Failed; see the Engine panel", "ERROR")
    elif settings.status and not settings.request_id:
        draw_text(layout, settings.status, "ERROR" if settings.failed else "INFO")


def draw_progress(layout: bpy.types.UILayout, settings: Any, state: session.State) -> None:
    """Draw the progress of the running request of a GAN image."""
    job = state.active
    if job is None or job.request.request_id != settings.request_id:
        layout.progress(factor=0.0, text="Waiting for the engine")
        return
    text = state.text or "Working"
    if state.distance_px is not None:
        text = f"Step {state.step}: {state.distance_px:.1f} px to go"
    if state.ending_asked:
        text = "Stopping"
    layout.progress(factor=state.fraction, text=text)


def _draw_error(layout: bpy.types.UILayout, error: str) -> None:
    box = layout.box().column(align=True)
    draw_text(box, error, "ERROR")
    row = box.row(align=True)
    row.operator("draggan.copy_error", icon="COPYDOWN")
    row.operator("draggan.open_log", icon="TEXT")
    box.operator(
        "preferences.addon_show", text="Preferences", icon="PREFERENCES"
    ).module = ROOT_PACKAGE


CLASSES = (
    DRAGGAN_UL_pairs,
    DRAGGAN_PT_engine,
    DRAGGAN_PT_image,
    DRAGGAN_PT_points,
    DRAGGAN_PT_drag,
    DRAGGAN_PT_settings,
)
