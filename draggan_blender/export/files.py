# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing what a plane shows as files for other programs: images, a video, the track.

Frames are written as the timeline shows them. Without retiming these are the images of the
sequence. A retimed plane gives the frames of the scene's range, in which an image may be repeated,
left out, or shown before an earlier one. Every file is complete as soon as it has its name.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import bpy

from .. import compat
from ..errors import EditError, reason_of
from ..properties.owners import Plane
from ..properties.stored import to_bytes
from ..protocol.atomic_files import replacing
from ..protocol.file_names import frame_file
from ..scene import alpha, channels, images, planes, playhead, timing

# Format, as the operator names it -> suffix of the files that ``frames`` writes.
SUFFIXES = {"PNG": ".png", "OPEN_EXR": ".exr"}


def shown_files(plane: Plane, stems: Sequence[str] = ("",)) -> list[tuple[str, int, Path]]:
    """Return the files that the plane shows, each with its stem and its scene frame.

    Args:
        plane: A GAN image with a sequence.
        stems: What the names of the files start with; empty for those of the colours. All frames of
            the first one come first.

    Raises:
        EditError: The plane has no sequence, or a file of it is missing.
    """
    sequence = plane.draggan.sequence
    if sequence.image is None:
        raise EditError(f"{plane.name} has no sequence to export; drag or bake it first")
    first = sequence.first_frame
    if timing.is_retimed(plane):
        scene = planes.scene_of(plane)
        every = range(scene.frame_start, scene.frame_end + 1)
        with contextlib.closing(playhead.visit(scene, every)) as visited:
            numbers = [(frame, first + timing.shown_row(plane)) for frame in visited]
    else:
        numbers = [(frame, frame) for frame in range(first, first + sequence.frame_count)]
    found = []
    for stem in stems:
        files = images.sequence_files(plane, [number for _, number in numbers], stem)
        found += [(stem, frame, file) for (frame, _), file in zip(numbers, files, strict=True)]
    return found


def frames(plane: Plane, folder: Path, file_format: str) -> Iterator[Path]:
    """Write the images into a folder, one per iteration, so that the caller can stay responsive.

    Args:
        plane: A GAN image with a sequence.
        folder: Where the files ``stem_0001.png`` are written, numbered by scene frame, and after
            them those of further channels, ``stem-channel5_0001.png``. A missing folder is made.
        file_format: ``PNG``, the files as they are; or ``OPEN_EXR``, half float and scene-linear,
            for compositing.

    Yields:
        The path of each file, after it was written.

    Raises:
        EditError: Immediately if there is nothing to export, or on iteration if a file cannot be
            written.
    """
    sequence, suffix = plane.draggan.sequence, SUFFIXES[file_format]
    stems = channels.stems(sequence.image, sequence.stem)
    files = shown_files(plane, stems)
    if folder.exists() and folder.samefile(files[0][2].parent):
        raise EditError(
            "This is the folder of the sequence itself; choose another one to export to"
        )
    named = [
        (path, (folder / frame_file(stem, frame)).with_suffix(suffix))
        for stem, frame, path in files
    ]
    if file_format == "PNG":
        return _write_all(named, _copy)
    count = len(files) // len(stems)
    # One after the other: the files of the colours come first.
    return itertools.chain(
        _write_all(named[:count], _write_exr), _write_all(named[count:], _write_channel_exr)
    )


def video(
    plane: Plane,
    path: Path,
    *,
    scale: int = 1,
    quality: str = "HIGH",
    span: range | None = None,
) -> int:
    """Write what the plane shows as an H.264 video, with Blender's own encoder.

    The video has the scene's frame rate and the colours of the images.

    Args:
        plane: A GAN image with a sequence.
        path: The file, an ``.mp4``.
        scale: How many times as wide and high as the images the video is.
        quality: One of Blender's values of ``constant_rate_factor``.
        span: The scene frames to write; those without an image are left out. None for all.

    Returns:
        How many frames the video has.

    Raises:
        EditError: The plane has no sequence or no image in the span, a file of it is missing, this
            Blender cannot encode videos or is rendering, or the file cannot be written.
    """
    if not bpy.app.build_options.codec_ffmpeg:
        raise EditError(
            "This Blender was built without FFmpeg; export PNG files and encode them elsewhere"
        )
    if bpy.app.is_job_running("RENDER"):
        raise EditError("Blender is rendering; export the video when it is done")
    files = [file for _, frame, file in shown_files(plane) if span is None or frame in span]
    if not files:
        raise EditError("There is no image in this range of frames; choose another")
    speed = planes.scene_of(plane).render
    with _writing(path) as unfinished, _output_scene() as scene:
        compat.use_video(scene.render, quality)
        width, height = plane.draggan.size
        scene.render.resolution_x, scene.render.resolution_y = width * scale, height * scale
        scene.render.fps, scene.render.fps_base = speed.fps, speed.fps_base
        scene.render.filepath, scene.render.use_file_extension = str(unfinished), False
        scene.frame_start, scene.frame_end = 1, len(files)
        strip = compat.strips(scene).new_image(
            planes.NAME,
            str(files[0]),
            channel=1,
            frame_start=1,
            fit_method="ORIGINAL" if scale == 1 else "FIT",
        )
        for file in files[1:]:
            strip.elements.append(file.name)
        bpy.ops.render.render(animation=True, scene=scene.name)
        if not unfinished.is_file() or not unfinished.stat().st_size:
            raise EditError(f"Blender did not write the video {path.name}; see its console")
    return len(files)


def track(plane: Plane, path: Path) -> None:
    """Write the track: the latents from which every image can be rendered again.

    Args:
        plane: A GAN image with a track.
        path: The file, an ``.npz``.

    Raises:
        EditError: The plane has no track, or the file cannot be written.
    """
    if not plane.draggan.track:
        raise EditError(f"{plane.name} has no track to export; drag or bake it first")
    with _writing(path) as unfinished:
        unfinished.write_bytes(to_bytes(plane.draggan.track))


def copy_file(source: Path, path: Path) -> None:
    """Copy a file; the copy is complete as soon as it has its name.

    Raises:
        EditError: A file cannot be read or written.
    """
    with _writing(path) as unfinished:
        _copy(source, unfinished)


def _write_all(
    named: list[tuple[Path, Path]], write: Callable[[Path, Path], None]
) -> Iterator[Path]:
    for source, path in named:
        with _writing(path) as unfinished:
            write(source, unfinished)
        yield path


def _copy(source: Path, path: Path) -> None:
    shutil.copyfile(source, path)


def _write_exr(source: Path, path: Path) -> None:
    """Write an image as half-float, scene-linear RGB, with its alpha if it has one.

    For a linear format Blender applies no view transform, and it removes the sRGB curve.
    """
    _write_linear(source, path, "")


def _write_channel_exr(source: Path, path: Path) -> None:
    """Write the image of a further channel as half floats: its numbers, which are no colours."""
    _write_linear(source, path, channels.SPACE)


def _write_linear(source: Path, path: Path, space: str) -> None:
    image = bpy.data.images.load(str(source), check_existing=False)
    try:
        if space:
            colour_settings: Any = image.colorspace_settings
            colour_settings.name = space
        with _output_scene() as scene:
            settings = scene.render.image_settings
            settings.file_format, settings.exr_codec = "OPEN_EXR", "ZIP"
            settings.color_mode = "BW" if space else "RGBA" if alpha.has_alpha(image) else "RGB"
            settings.color_depth = "16"
            image.save_render(str(path), scene=scene)
    finally:
        bpy.data.images.remove(image)


@contextlib.contextmanager
def _output_scene() -> Iterator[bpy.types.Scene]:
    """Yield a temporary scene whose only purpose is its output settings."""
    scene = bpy.data.scenes.new("GAN Export")
    try:
        scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
        scene.render.dither_intensity = 0.0
        scene.render.resolution_percentage = 100
        yield scene
    finally:
        bpy.data.scenes.remove(scene)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, which becomes ``path`` if the block succeeds.

    Raises:
        EditError: The system, or Blender, refused to write.
    """
    try:
        # Blender chooses the format by the suffix.
        with replacing(path, keep_suffix=True) as unfinished:
            yield unfinished
    except OSError as error:
        raise EditError(
            f"{path} cannot be written ({error.strerror or error}); choose another place"
        ) from None
    except RuntimeError as error:  # what Blender's own functions raise
        raise EditError(
            f"{path} cannot be written: {reason_of(error)}; choose another place"
        ) from None
