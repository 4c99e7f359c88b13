# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene in which ``tools/soak.py`` does things, and the parts of what is done there."""

from __future__ import annotations

import hashlib
import random
import sys
from pathlib import Path
from typing import Any

EXTENSION = "bl_ext.user_default.draggan_blender"
TIMEOUT_S = 600.0
NOTHING = "nothing to do"


def module(name: str) -> Any:
    """Return a module of the installed extension."""
    return sys.modules[f"{EXTENSION}.draggan_blender.{name}"]


def wait(request_id: int) -> None:
    """Wait for the result of a request."""
    module("jobs.requests").wait(request_id, TIMEOUT_S)


def push(name: str) -> None:
    """Push an undo step, as each gesture of a person does in a window.

    Blender may crash in an undo if a script has removed something since the last step.
    """
    import bpy

    bpy.context.view_layer.update()
    bpy.ops.ed.undo_push(message=name)


def ops() -> Any:
    """Return the operators of the extension."""
    import bpy

    # Unknown to the stubs.
    return getattr(bpy.ops, "draggan")  # noqa: B009


class SoakScene:
    """The images of the open file.

    Attributes:
        chance: The source of chance of the next operation.
        blend: The file that is saved to.
        exports: The folder that is exported to.
        engines: The process ids of all engines that were seen.
    """

    def __init__(self, folder: Path) -> None:
        self.chance = random.Random(0)
        self.blend = folder / "soak.blend"
        self.exports = folder / "exports"
        self.engines: set[int] = set()

    def planes(self) -> list[Any]:
        """Return the planes of the file."""
        return list(module("scene.planes").everywhere())

    def note_engine(self) -> None:
        """Remember the engine that is running."""
        pid = module("connection.pump").engine_pid()
        if pid is not None:
            self.engines.add(pid)

    def active(self) -> Any:
        """Return the active plane, or None."""
        import bpy

        return module("scene.planes").active(bpy.context)

    def choose(self) -> Any:
        """Choose a plane, select it alone, and make it active."""
        import bpy

        found = self.planes()
        if not found:
            return None
        plane = self.chance.choice(found)
        for other in found:
            other.select_set(other == plane)
        bpy.context.view_layer.objects.active = plane
        return plane

    def select_all(self) -> None:
        """Select all planes."""
        for plane in self.planes():
            plane.select_set(True)

    def start_drag(self, steps: int = 6, *, is_open: bool = False) -> int | None:
        """Start a drag with one or two pairs, and return its request; None without an image."""
        import bpy

        plane = self.choose()
        if plane is None:
            return None
        pairs = plane.draggan.pairs
        while len(pairs) > 1:
            module("scene.points").remove_pair(plane, 0)
        handle = self.chance.uniform(0.2, 0.8), self.chance.uniform(0.2, 0.8)
        target = tuple(min(max(one + self.chance.uniform(-0.1, 0.1), 0), 1) for one in handle)
        module("scene.points").add_pair(plane, handle, target)
        plane.draggan.drag.max_steps = self.chance.randint(1, steps)
        push("Points")
        started: int = module("jobs.drag").start_drag(bpy.context, plane, is_open=is_open)
        return started

    def until_a_step(self) -> None:
        """Wait until the drag has made a step, or has ended."""
        pump = module("connection.pump")
        pump.run_until(lambda now: now.step >= 1 or now.active is None, TIMEOUT_S)
        self.note_engine()

    def images(self) -> list[dict[str, str]]:
        """Return what a file keeps of each image, short."""
        return sorted((_kept(plane) for plane in self.planes()), key=lambda kept: kept["uuid"])


def _kept(plane: Any) -> dict[str, str]:
    """Return what a file keeps of an image, by its name."""
    settings = plane.draggan
    kept: dict[str, Any] = {
        "uuid": settings.uuid,
        "latent": settings.latent,
        "track": settings.track,
        "frames": settings.sequence.frame_count,
        "still": settings.still and bytes(settings.still.packed_file.data),
        "mask": settings.mask and settings.mask.name,
        "pairs": [(pair.handle.name, tuple(pair.target.location)) for pair in settings.pairs],
        "edits": [(row.name, row.strength, row.visible, row.change) for row in settings.edits],
        "sliders": [(row.name, row.strength, row.change) for row in settings.sliders],
        "history": [(state.number, state.kind, state.latent) for state in settings.history.states],
    }
    return {
        name: text if len(text := repr(value)) < 60 else hashlib.sha256(text.encode()).hexdigest()
        for name, value in kept.items()
    }
