# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing a scene for a render farm, which bakes and renders it.

A farm works on a copy of the file, which may be packed, on machines without the panel. Therefore
the plane's material already shows the sequence that is still to be baked, at an absolute path on
storage that all machines share, and mapped onto the timeline. Until the farm has written the
images, placeholders have their names, because Blender renders a missing file magenta, and because
the programs that pack a file for the farm look for its images. Placeholders are the frames of an
earlier bake if there are any, else the image that the bake starts from.

Solving removes every image in its folder that does not belong to its track. Placeholders are
therefore written only where nothing is solved yet; a complete earlier bake is copied with its
track.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bpy

from ..errors import EditError, reason_of
from ..jobs import bake as bake_job
from ..jobs import bake_folder, folders, recovery
from ..properties.owners import Plane
from ..protocol import file_names
from ..protocol.atomic_files import link_or_copy, write_atomically
from ..protocol.plain_files import read_plain_file
from ..scene import channels, frame_files, handle_paths, history, images, models, planes, sampling

# An image of a sequence, far beyond the largest.
_MAX_IMAGE_BYTES = 1 << 29


def prepare(scene: bpy.types.Scene, base: Path) -> list[str]:
    """Make the scene's GAN images with an animated edit show what a farm will bake.

    Args:
        scene: The scene with the images and the timeline.
        base: The absolute path of a folder that every worker can access under this same path.

    Returns:
        The names of the images that were prepared.

    Raises:
        EditError: There is no such image, or one cannot be baked; then nothing has changed. Or a
            farm is at work in a folder, or a folder cannot be written.
    """
    chosen = [plane for plane in planes.everywhere() if _is_for_farm(scene, plane)]
    if not chosen:
        raise EditError(
            "No GAN image of this scene has an animated edit; keyframe, constrain or drive a "
            "target first"
        )
    spans = []
    for plane in chosen:
        recovery.require_ready(plane)
        spans.append(bake_job.frames_of(plane))
        # Report here what would make the bake fail on the farm; a person can still correct it.
        bake_job.make_edit(plane, spans[-1])
        models.model_path(plane.draggan.source)
    made = [bake_folder.make_folder(plane, base) for plane in chosen]
    for plane, span, folder in zip(chosen, spans, made, strict=True):
        _write_placeholders(plane, folder, span)
    for plane, span, folder in zip(chosen, spans, made, strict=True):
        if not _shows(plane, folder, span):
            _show(plane, folder, span)
        source = plane.draggan.source
        if source.kind == "FILE":
            source.path = models.model_path(source)
    _settings(scene).base = str(base)
    return [plane.name for plane in chosen]


def save_copy(base: Path) -> Path:
    """Save the file as it is now as a copy in the shared folder, and return its path.

    Raises:
        EditError: The copy cannot be written.
    """
    name = Path(bpy.data.filepath).stem if bpy.data.filepath else "untitled"
    path = base / f"{name}.blend"
    if bpy.data.filepath and path == Path(bpy.data.filepath):
        path = base / f"{name}.farm.blend"
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    except RuntimeError as error:
        raise EditError(f"The copy for the farm cannot be saved: {reason_of(error)}") from None
    return path


def prepared_base(plane: Plane) -> Path | None:
    """Return the shared folder that the plane's bake is expected in; None if it is not prepared."""
    if not images.shows_bake(plane):
        return None
    for scene in plane.users_scene:
        chosen = _settings(scene).base
        if chosen:
            base = frame_files.absolute(chosen)
            if images.sequence_folder(plane) == bake_folder.folder_of(plane, base):
                return base
    return None


def prepared(scene: bpy.types.Scene) -> list[dict[str, str]]:
    """Return what a job type needs to know about the scene's prepared images.

    Returns:
        For each image a dictionary: ``object``, the name of the plane; ``image``, the name of its
        sequence's image; ``file``, the path of the first frame, relative to the shared folder and
        with ``/``; and ``frames``, such as ``1-48``.
    """
    found = []
    for plane in planes.everywhere():
        base = prepared_base(plane)
        if base is None or scene not in plane.users_scene:
            continue
        sequence = plane.draggan.sequence
        first, count = sequence.first_frame, sequence.frame_count
        folder = images.sequence_folder(plane)
        entry = {
            "object": plane.name,
            "image": sequence.image.name,
            "file": f"{folder.name}/{frame_files.frame_path(folder, sequence.stem, first).name}",
            "frames": f"{first}-{first + count - 1}",
        }
        found.append(entry)
    return found


def prepared_json(scene: bpy.types.Scene) -> str:
    """Return ``prepared`` as the JSON text that a job type reads."""
    return json.dumps(prepared(scene), sort_keys=True)


def _settings(scene: Any) -> Any:
    """Return the scene's ``DRAGGAN_PG_farm``; the stubs of ``Scene`` do not have it."""
    return scene.draggan_farm


def _is_for_farm(scene: bpy.types.Scene, plane: Plane) -> bool:
    settings = plane.draggan
    has_pair = any(pair.enabled for pair in settings.pairs)
    in_scene = scene in plane.users_scene
    return in_scene and bool(settings.latent) and has_pair and sampling.is_animated(plane)


def _write_placeholders(plane: Plane, folder: Path, span: range) -> None:
    """Give every frame its files, unless a farm is or was at work in the folder.

    Raises:
        EditError: A farm has not written its first frame yet, the folder cannot be written, or
            there is no image for the placeholders.
    """
    stem, earlier = folders.stem_of(plane), _shown_bake(plane)
    try:
        if bake_folder.has_track(folder):
            if not frame_files.frame_path(folder, stem, span.start).is_file():
                raise EditError(
                    f"A farm is at work in {folder}, but has not written its first frame yet; "
                    "wait for it, or choose another Shared Folder"
                )
            return
        _write_frames(plane, folder, span, earlier)
        if earlier is not None and _is_whole(plane, earlier):
            for name in (file_names.EDIT_FILE, file_names.TRACK_FILE):
                _link_if_missing(earlier / name, folder / name)
    except OSError as error:
        raise EditError(
            f"The folder {folder} cannot be written ({error.strerror or error}); choose another "
            "Shared Folder"
        ) from None


def _link_if_missing(source: Path, path: Path) -> None:
    """Give a file a second name, or copy it, unless a file of that name exists."""
    if not path.exists():
        link_or_copy(source, path, replace=False)


def _shown_bake(plane: Plane) -> Path | None:
    """Return the folder of the bake that the plane shows, or None."""
    if not images.shows_bake(plane):
        return None
    return images.sequence_folder(plane)


def _is_whole(plane: Plane, folder: Path) -> bool:
    """Return whether the folder of the shown bake has the track and all images of it."""
    sequence = plane.draggan.sequence
    first, count = sequence.first_frame, sequence.frame_count
    span = range(first - 1, first + count)
    further = channels.stems(sequence.image, sequence.stem)[1:]
    missing = frame_files.missing(folder, sequence.stem, span, further)
    return bake_folder.is_solved(folder) and not missing


def _write_frames(plane: Plane, folder: Path, span: range, earlier: Path | None) -> None:
    """Write the placeholders that are missing: frames of an earlier bake, or what it starts from.

    Raises:
        OSError: A file cannot be read or written.
        EditError: A frame is not in the earlier bake, and there is no image to start from.
    """
    stem, shown_stem = folders.stem_of(plane), plane.draggan.sequence.stem
    based: dict[int, bytes] = {}
    for channel in _channels(plane):
        ours, shown = (channels.stem_of(one, channel) for one in (stem, shown_stem))
        for number in range(span.start - 1, span.stop):
            path = frame_files.frame_path(folder, ours, number)
            source = earlier and frame_files.frame_path(earlier, shown, number)
            if source and source.is_file():
                _link_if_missing(source, path)
            elif not path.exists():
                based = based or _base_pngs(plane)
                if channel in based:
                    write_atomically(path, based[channel], durable=False)


def _channels(plane: Plane) -> list[int]:
    """Return 0, which stands for the colours, and the number of each further channel."""
    settings = plane.draggan
    return sorted({0, *channels.of(settings.sequence.image), *channels.of(settings.still)})


def _base_pngs(plane: Plane) -> dict[int, bytes]:
    """Return the image that the bake starts from as PNG files: the last of a drag, or the seed's.

    Returns:
        By the channel: 0 for the colours, and the number of each further one.

    Raises:
        EditError: There is no such image.
    """
    settings = plane.draggan
    for sequence in (settings.sequence, settings.bake.under):
        if sequence.image is not None and sequence.kind == "DRAG":
            folder = images.folder_of(sequence)
            last = sequence.first_frame + sequence.frame_count - 1
            found = {
                channel: frame_files.frame_path(
                    folder, channels.stem_of(sequence.stem, channel), last
                )
                for channel in (0, *channels.of(sequence.image))
            }
            if all(path.is_file() for path in found.values()):
                return {
                    channel: read_plain_file(path, _MAX_IMAGE_BYTES)
                    for channel, path in found.items()
                }
    stills = {0: settings.still, **channels.of(settings.still)}
    if any(still is None or still.packed_file is None for still in stills.values()):
        raise EditError(f"{plane.name} has no image in the file; press Restore Images first")
    return {channel: bytes(still.packed_file.data) for channel, still in stills.items()}


def _shows(plane: Plane, folder: Path, span: range) -> bool:
    """Return whether the plane already shows exactly this sequence."""
    sequence = plane.draggan.sequence
    shown = (sequence.first_frame, sequence.frame_count) == (span.start, len(span))
    return shown and _shown_bake(plane) == folder


def _show(plane: Plane, folder: Path, span: range) -> None:
    """Make the plane show the sequence that the farm will bake."""
    settings, sequence = plane.draggan, plane.draggan.sequence
    stem = folders.stem_of(plane)
    history.note_points(plane)
    keeps_track = (sequence.first_frame, sequence.frame_count) == (span.start, len(span))
    if not images.shows_bake(plane):
        if sequence.image is not None:
            images.cover(plane)
            handle_paths.cover_paths(plane)
        keeps_track = False
    if not keeps_track:
        # The positions of the handles and the latents are not known yet.
        settings.track = ""
        handle_paths.clear_paths(plane)
    images.show_sequence(plane, folder, stem, span.start, len(span), "BAKE")
    sequence.image.filepath = str(frame_files.frame_path(folder, stem, span.start))
    settings.status = f"Prepared for the farm: the frames will be saved in {folder}"
    settings.failed = False
    history.record(plane, "BAKE")
