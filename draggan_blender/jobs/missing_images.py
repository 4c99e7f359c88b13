# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices missing files of the sequence that the active image shows; Blender paints it magenta.

The files are looked for a moment after a .blend was opened, another image was chosen, the frame has
changed or something was evaluated: at most once a second, and less often where a folder takes long
to read. Panels read what was found and touch no disk.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..properties.owners import Plane
from ..scene import channels, frame_files, images, planes
from . import delivery

# The time from a change to the look, and between two looks.
_DELAY_S, _PERIOD_S = 0.1, 1.0
# At most this share of the time is spent on looking.
_SHARE = 0.02

# What identifies a sequence: its image, folder and stem, its first frame and its length.
_Sequence = tuple[int, str, str, int, int]


@dataclass(frozen=True)
class _Found:
    """How many files of a sequence were missing when it was looked at."""

    sequence: _Sequence
    missing: int


# uuid -> what was found last.
_found: dict[str, _Found] = {}

# When the next look is due, on the monotonic clock.
_next_s = 0.0


def count(plane: Plane) -> int:
    """Return how many images of the plane's sequence were missing when it was looked at last.

    0 if the plane shows no sequence, or one that was not looked at yet.
    """
    found = _found.get(plane.draggan.uuid)
    if found is None or found.sequence != _sequence(plane):
        return 0
    return found.missing


def sentence(plane: Plane) -> str:
    """Return a sentence about the plane's missing images, or an empty text if none is missing."""
    missing, total = count(plane), plane.draggan.sequence.frame_count
    if not missing:
        return ""
    how_many = f"All {total} images" if missing == total else f"{missing} of {total} images"
    verb = "is" if missing == 1 else "are"
    return f"{how_many} {verb} missing; press Restore Images"


def look() -> None:
    """Look for the files of the active images of all windows, and redraw panels after a change."""
    global _next_s
    begun_s = time.monotonic()
    before = dict(_found)
    windows = bpy.context.window_manager.windows
    layers = [window.view_layer for window in windows] or [bpy.context.view_layer]
    for layer in layers:
        plane = planes.image_of(layer.objects.active)
        sequence = _sequence(plane) if plane is not None else None
        if plane is not None and sequence is not None:
            _found[plane.draggan.uuid] = _Found(sequence, _missing(plane))
    now_s = time.monotonic()
    _next_s = now_s + max(_PERIOD_S, (now_s - begun_s) / _SHARE)
    if _found != before:
        delivery.redraw_panels()


def _sequence(plane: Plane) -> _Sequence | None:
    sequence = plane.draggan.sequence
    if sequence.image is None:
        return None
    folder = str(images.sequence_folder(plane))
    first, length = sequence.first_frame, sequence.frame_count
    return sequence.image.session_uid, folder, sequence.stem, first, length


def _missing(plane: Plane) -> int:
    """Return the number of missing images; the file before the first frame repeats its image."""
    sequence, folder = plane.draggan.sequence, images.sequence_folder(plane)
    last = sequence.first_frame + sequence.frame_count
    stem, *further = channels.stems(sequence.image, sequence.stem)
    missing = frame_files.missing(folder, stem, range(sequence.first_frame - 1, last), further)
    return min(missing, int(sequence.frame_count))


def _after_change(*_arguments: Any) -> None:
    if bpy.app.is_job_running("RENDER") or bpy.app.timers.is_registered(_on_timer):
        return
    wait_s = max(_next_s - time.monotonic(), _DELAY_S)
    bpy.app.timers.register(_on_timer, first_interval=wait_s, persistent=True)


def _on_timer() -> None:
    look()


def _after_load(*_arguments: Any) -> None:
    _found.clear()
    _after_change()


_HANDLERS = (
    ("depsgraph_update_post", _after_change),
    ("frame_change_post", _after_change),
    ("load_post", _after_load),
)


def register() -> None:
    """Add the handlers to Blender's lists; as persistent ones they stay when a file is opened."""
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(persistent(handler))


def unregister() -> None:
    """Remove the handlers and the timer."""
    for name, handler in reversed(_HANDLERS):
        getattr(bpy.app.handlers, name).remove(handler)
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    _found.clear()
