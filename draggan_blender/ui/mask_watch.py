# SPDX-License-Identifier: GPL-3.0-or-later
"""What masks need from Blender's events: leaving the mode, undo, saving and opening files.

Blender reports to scripts neither that a mode was left nor by what, so a timer looks.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..scene import mask_images, mask_painting, planes

# Time between two looks.
_PERIOD_S = 0.2
# Blender has at most so many undo steps. An operation has two inner ones, and two more with each
# change in the redo panel while painting.
_MOST_STEPS = 256

# Whether an undo or redo came after the last look.
_was_undone = False


def _on_timer() -> float:
    windows = bpy.context.window_manager.windows
    if windows and (_was_undone or mask_painting.is_unfinished()):
        with bpy.context.temp_override(window=windows[0]):
            look(bpy.context)
    return _PERIOD_S


def look(context: bpy.types.Context) -> None:
    """End or continue the painting of a mask, as the mode requires."""
    global _was_undone
    if mask_painting.was_left():
        mask_painting.end(context)
    elif _was_undone:
        mask_painting.resume(context)
    else:
        mask_painting.take_brush(context)
    _was_undone = False


def step_over(undo: bool) -> None:
    """Undo or redo again while the last one stopped at an inner step of a mask operation.

    Args:
        undo: Whether the last one was an undo.
    """
    step: Any = bpy.ops.ed.undo if undo else bpy.ops.ed.redo
    for _ in range(_MOST_STEPS):
        if mask_images.has_stopped_between() and step.poll():
            step()


def _undo_again() -> None:
    _in_window(True)


def _redo_again() -> None:
    _in_window(False)


def _in_window(undo: bool) -> None:
    windows = bpy.context.window_manager.windows
    if windows:
        with bpy.context.temp_override(window=windows[0]):
            step_over(undo)


@persistent  # type: ignore[untyped-decorator]
def _before_undo(*_arguments: Any) -> None:
    mask_images.hold_pixels()


@persistent  # type: ignore[untyped-decorator]
def _after_undo(*_arguments: Any) -> None:
    global _was_undone
    _was_undone = True
    mask_images.restore_pixels(undo=True)
    # A handler must not undo: Blender continues with what the handler would replace.
    if not bpy.app.background and mask_images.has_stopped_between():
        bpy.app.timers.register(_undo_again, first_interval=0.0)


@persistent  # type: ignore[untyped-decorator]
def _after_redo(*_arguments: Any) -> None:
    global _was_undone
    _was_undone = True
    mask_images.restore_pixels(undo=False)
    if not bpy.app.background and mask_images.has_stopped_between():
        bpy.app.timers.register(_redo_again, first_interval=0.0)


@persistent  # type: ignore[untyped-decorator]
def _before_save(*_arguments: Any) -> None:
    for plane in planes.everywhere():
        mask_images.keep(plane.draggan.mask)


@persistent  # type: ignore[untyped-decorator]
def _after_load(*_arguments: Any) -> None:
    mask_painting.forget()


_HANDLERS = (
    ("undo_pre", _before_undo),
    ("redo_pre", _before_undo),
    ("undo_post", _after_undo),
    ("redo_post", _after_redo),
    ("save_pre", _before_save),
    ("load_post", _after_load),
)


def register() -> None:
    """Start the timer, and add the handlers."""
    bpy.app.timers.register(_on_timer, persistent=True)
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    """Stop painting, stop the timers, and remove the handlers."""
    mask_painting.end_any(bpy.context)
    for timer in (_on_timer, _undo_again, _redo_again):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).remove(handler)
