# SPDX-License-Identifier: GPL-3.0-or-later
"""The printed lines by which render farms follow a task.

Flamenco, and farms that were made for Blender's own renders, read ``Saved: '...'`` for a written
image and ``Time: ...`` for the end of a frame, and count lines that start with ``skipping existing
frame``. The extension's command line and the engine's both print exactly these texts.
"""

from __future__ import annotations

from pathlib import Path


def solved_line(number: int, steps: int, distance_px: float) -> str:
    """Return the line for a solved frame of a bake.

    Args:
        number: The scene frame.
        steps: How many steps were made for it.
        distance_px: The farthest handle's distance to its target, image pixels.
    """
    unit = "step" if steps == 1 else "steps"
    return f"Solved: frame {number}, {steps} {unit}, {distance_px:.2f} px to go"


def saved_line(path: Path | str) -> str:
    """Return the line for a written image file."""
    return f"Saved: '{path}'"


def time_line(seconds: float) -> str:
    """Return the line that ends a frame, as Blender prints it: ``Time: 01:02.50``.

    Args:
        seconds: Time since the frame before, 0 or more.
    """
    minutes, seconds = divmod(seconds, 60.0)
    hours, minutes = divmod(int(minutes), 60)
    start = f"{hours:02d}:" if hours else ""
    return f"Time: {start}{minutes:02d}:{seconds:05.2f}"


def skipping_line(frame: int | Path) -> str:
    """Return the line for a frame that is not made, because its result exists already.

    Args:
        frame: The scene frame, or the path of its file, which is put in quotation marks.
    """
    shown = f"{frame}" if isinstance(frame, int) else f'"{frame}"'
    return f"skipping existing frame {shown}"
