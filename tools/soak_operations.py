# SPDX-License-Identifier: GPL-3.0-or-later
"""The random operations of ``tools/soak.py``: what people press, and what goes wrong meanwhile.

Each operation is a method whose name is reported. It returns what became of it, and raises
``EditError`` or ``RuntimeError`` where the extension refuses it.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXTENSION = "bl_ext.user_default.draggan_blender"
TIMEOUT_S = 600.0
_MOST_PLANES = 3
_NOTHING = "nothing to do"


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


def _ops() -> Any:
    import bpy

    # Unknown to the stubs.
    return getattr(bpy.ops, "draggan")  # noqa: B009


class Operations:
    """What is done to the scene, by chance.

    Attributes:
        chance: The source of chance of the next operation.
        blend: The file that is saved to.
        engines: The process ids of all engines that were seen.
    """

    def __init__(self, folder: Path) -> None:
        self.chance = random.Random(0)
        self.blend = folder / "soak.blend"
        self.engines: set[int] = set()
        self._exports = folder / "exports"

    def usual(self) -> list[Callable[[], str]]:
        """Return what people do; what they do most is there twice."""
        return [
            self.new_image,
            self.drag,
            self.drag,
            self.stop,
            self.cancel,
            self.live,
            self.undo,
            self.undo,
            self.bake,
            self.half_mask,
            self.part,
            self.edit,
            self.edit,
            self.seed,
            self.slider,
            self.slider,
            self.style,
            self.many,
            self.own_picture,
            self.blend_back,
            self.history,
            self.history,
            self.duplicate,
            self.delete,
            self.export,
            self.render,
            self.save,
            self.reopen,
        ]

    def faults(self) -> list[Callable[[], str]]:
        """Return what goes wrong."""
        return [
            self.kill_engine,
            self.stop_process,
            self.lose_folder,
            self.switch_off,
            self.other_file,
        ]

    # ------------------------------------------------------------ images

    def new_image(self) -> str:
        """Add an image with a random seed."""
        import bpy

        if len(self.planes()) >= _MOST_PLANES:
            return _NOTHING
        plane = module("jobs.image").new_image(bpy.context, seed=self.chance.randrange(1000))
        wait(plane.draggan.request_id)
        return "done"

    def seed(self) -> str:
        """Choose another seed."""
        plane = self._plane()
        if plane is None:
            return _NOTHING
        plane.draggan.source.seed = self.chance.randrange(1000)
        return "done"

    def duplicate(self) -> str:
        """Duplicate an image."""
        if len(self.planes()) >= _MOST_PLANES or self._plane() is None:
            return _NOTHING
        _ops().duplicate_image()
        return "done"

    def delete(self) -> str:
        """Delete an image, if there are several."""
        plane = self._plane()
        if plane is None or len(self.planes()) < 2:
            return _NOTHING
        module("scene.planes").remove(plane)
        return "done"

    def own_picture(self) -> str:
        """Find the latent of the picture of an image for a second; tune the model sometimes."""
        import bpy

        plane = self._plane()
        if plane is None:
            return _NOTHING
        if plane.draggan.own.picture is None:
            if len(self.planes()) >= _MOST_PLANES or plane.draggan.still is None:
                return _NOTHING
            # A copy: the picture is a person's own, and no image of ours.
            picture = plane.draggan.still.copy()
            push("Copy")
            job = module("jobs.own_picture")
            plane = job.new_image(bpy.context, picture, seconds=1.0, refine=False)
            wait(plane.draggan.request_id)
            return "done"
        plane.draggan.own.seconds, plane.draggan.own.tune_seconds = 1.0, 1.0
        plane.draggan.own.tune = self.chance.random() < 0.5
        push("Settings")
        wait(module("jobs.own_picture").invert_again(plane))
        return "done"

    def blend_back(self) -> str:
        """Compose the edits onto the picture."""
        plane = self._plane()
        if plane is None or plane.draggan.own.picture is None:
            return _NOTHING
        _ops().blend_back()
        return "done"

    # ------------------------------------------------------------ drags

    def drag(self) -> str:
        """Drag one or two points."""
        started = self._started()
        if started is None:
            return _NOTHING
        wait(started)
        return "done"

    def stop(self) -> str:
        """Stop a drag, and keep its steps."""
        started = self._started()
        if started is None:
            return _NOTHING
        self._until_a_step()
        for plane in self.planes():
            module("jobs.drag").stop_drag(plane)
        wait(started)
        return "done"

    def cancel(self) -> str:
        """Cancel a drag at any time."""
        if self._started() is None:
            return _NOTHING
        module("connection.pump").run_until(lambda _now: False, self.chance.uniform(0, 1))
        for plane in self.planes():
            module("jobs.recovery").cancel(plane)
        return "done"

    def live(self) -> str:
        """Move a target, pause and go on, while an open drag follows."""
        import bpy

        started = self._started(is_open=True)
        plane = self._active()
        if started is None or plane is None:
            return _NOTHING
        live = module("jobs.live")
        for _ in range(self.chance.randint(1, 4)):
            plane.draggan.pairs[0].target.location.x += self.chance.uniform(-0.1, 0.1)
            bpy.context.view_layer.update()
            live.set_paused(plane, self.chance.random() < 0.2)
            module("connection.pump").run_until(lambda _now: False, self.chance.uniform(0, 0.5))
            if not live.is_open(plane):  # it failed
                break
        live.set_paused(plane, False)
        live.close(plane)
        wait(started)
        return "done"

    def bake(self) -> str:
        """Bake a few frames over a keyed target."""
        plane = self._plane()
        if plane is None or not len(plane.draggan.pairs):
            return _NOTHING
        target = plane.draggan.pairs[0].target
        target.keyframe_insert("location", frame=1)
        bake = plane.draggan.bake
        bake.use_own_range, bake.frame_start, bake.frame_end = True, 1, self.chance.randint(2, 4)
        push("Key")
        wait(module("jobs.bake").start_bake(plane))
        return "done"

    # ------------------------------------------------------------ masks, edits, sliders

    def half_mask(self) -> str:
        """Fix a part of the image, or remove the mask."""
        import numpy as np

        plane = self._plane()
        if plane is None or not all(plane.draggan.size):
            return _NOTHING
        if self.chance.random() < 0.3:
            _ops().mask_clear()
            return "done"
        width, height = plane.draggan.size
        levels = np.ones((height, width), np.float32)
        levels[: height // self.chance.randint(2, 5)] = 0
        module("scene.mask_images").create(plane, levels)
        return "done"

    def part(self) -> str:
        """Select the part at a random place."""
        if self._plane() is None:
            return _NOTHING
        place = self.chance.uniform(0.2, 0.8), self.chance.uniform(0.2, 0.8)
        _ops().select_part(place_uv=place, how=self.chance.choice(("ADD", "SUBTRACT", "REPLACE")))
        return "done"

    def edit(self) -> str:
        """Begin an edit, or change one: its strength, its eye, its place in the list."""
        plane = self._plane()
        if plane is None:
            return _NOTHING
        rows = plane.draggan.edits
        if not len(rows) or self.chance.random() < 0.3:
            _ops().new_edit()
            return "done"
        plane.draggan.active_edit = self.chance.randrange(len(rows))
        row, what = rows[plane.draggan.active_edit], self.chance.randrange(5)
        if what == 0:
            row.strength = self.chance.uniform(0, 1)
        elif what == 1:
            row.visible = not row.visible
        elif what == 2:
            _ops().move_edit(direction=self.chance.choice(("UP", "DOWN")))
        elif what == 3:
            _ops().edit_this()
        else:
            _ops().remove_edit()
        push("Edit")
        _ops().render_edits()
        return "done"

    def slider(self) -> str:
        """Find directions, keep a drag as a slider, pull back, or move a slider."""
        plane = self._plane()
        if plane is None:
            return _NOTHING
        rows, what = plane.draggan.sliders, self.chance.randrange(6)
        if not len(rows) or what == 0:
            _ops().find_directions()
            return "done"
        plane.draggan.active_slider = self.chance.randrange(len(rows))
        if what == 1:
            _ops().keep_as_slider()
        elif what == 2:
            _ops().pull_back()
        elif what == 3:
            _ops().remove_slider()
        else:
            rows[plane.draggan.active_slider].strength = self.chance.uniform(-1, 1)
            push("Slider")
            _ops().render_sliders()
        return "done"

    def style(self) -> str:
        """Take the style of the other images."""
        if self._plane() is None or len(self.planes()) != 2:
            return _NOTHING
        self._select_all()
        _ops().mix_style()
        return "done"

    def many(self) -> str:
        """Keep a drag as a slider, and apply it to the other images."""
        started = self._started() if len(self.planes()) > 1 else None
        if started is None:
            return _NOTHING
        wait(started)
        _ops().keep_as_slider()
        self._select_all()
        _ops().apply_to_many()
        return "done"

    def history(self) -> str:
        """Go to a state of the history, or delete the active one."""
        plane = self._plane()
        if plane is None or not len(plane.draggan.history.states):
            return _NOTHING
        if self.chance.random() < 0.2:
            _ops().delete_state()
        else:
            numbers = [state.number for state in plane.draggan.history.states]
            _ops().go_to_state(number=self.chance.choice(numbers))
        return "done"

    # ------------------------------------------------------------ files

    def export(self) -> str:
        """Export the images of a sequence."""
        plane = self._plane()
        if plane is None or plane.draggan.sequence.image is None:
            return _NOTHING
        _ops().export_frames(directory=str(self._exports))
        shutil.rmtree(self._exports, ignore_errors=True)
        return "done"

    def render(self) -> str:
        """Render a frame."""
        import bpy

        scene = bpy.context.scene
        if scene.camera is None:
            camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
            scene.collection.objects.link(camera)
            camera.location.z, scene.camera = 5.0, camera
        scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 1, "CPU"
        scene.render.resolution_x = scene.render.resolution_y = 32
        scene.frame_set(self.chance.randint(1, 6))
        push("Camera")
        bpy.ops.render.render()
        return "done"

    def undo(self) -> str:
        """Undo, or redo."""
        import bpy

        (bpy.ops.ed.undo if self.chance.random() < 0.7 else bpy.ops.ed.redo)()
        bpy.context.view_layer.update()
        return "done"

    def save(self) -> str:
        """Save the file."""
        import bpy

        bpy.ops.wm.save_as_mainfile(filepath=str(self.blend))
        return "done"

    def reopen(self) -> str:
        """Save, open the file again, and check that its images are the same."""
        import bpy

        bpy.ops.wm.save_as_mainfile(filepath=str(self.blend))
        before = self.images()
        bpy.ops.wm.open_mainfile(filepath=str(self.blend))
        push("Reopened")
        after = self.images()
        if after != before:
            changed = [pair for pair in zip(before, after, strict=False) if pair[0] != pair[1]]
            raise AssertionError(f"the .blend did not reopen with the same images: {changed}")
        return "done"

    def images(self) -> list[dict[str, str]]:
        """Return what a file keeps of each image, short."""
        return sorted((_kept(plane) for plane in self.planes()), key=lambda kept: kept["uuid"])

    # ------------------------------------------------------------ faults

    def kill_engine(self) -> str:
        """Kill the engine in the middle of a drag; its steps must become the sequence."""
        started = self._started(steps=20)
        if started is None:
            return _NOTHING
        self._until_a_step()
        pid = module("connection.pump").engine_pid()
        if pid is None:
            return _NOTHING
        os.kill(pid, signal.SIGKILL)
        wait(started)
        return "the drag was kept"

    def stop_process(self) -> str:
        """Stop the engine's process for a while, as a laptop that sleeps."""
        started = self._started()
        pump = module("connection.pump")
        if started is None or (pid := pump.engine_pid()) is None:
            return _NOTHING
        os.kill(pid, signal.SIGSTOP)
        try:
            pump.run_until(lambda _now: False, self.chance.uniform(1, 9))
        finally:
            os.kill(pid, signal.SIGCONT)
        wait(started)
        return "done"

    def lose_folder(self) -> str:
        """Remove the folder of an image's sequence, and restore it."""
        plane = self._plane()
        if plane is None or plane.draggan.sequence.image is None:
            return _NOTHING
        folder = module("scene.images").sequence_folder(plane)
        shutil.rmtree(folder, ignore_errors=True)
        wait(module("jobs.image").render_again(plane))
        return "restored"

    def switch_off(self) -> str:
        """Disable the extension during a drag, and enable it again."""
        import addon_utils

        self._started()
        pump = module("connection.pump")
        pump.run_until(lambda _now: False, self.chance.uniform(0, 0.5))
        self.note_engine()
        addon_utils.disable(EXTENSION)
        addon_utils.enable(EXTENSION)
        return "done"

    def other_file(self) -> str:
        """Open the saved file during a drag, without saving."""
        import bpy

        if not self.blend.exists() or self._started() is None:
            return _NOTHING
        pump = module("connection.pump")
        pump.run_until(lambda _now: False, self.chance.uniform(0, 0.5))
        bpy.ops.wm.open_mainfile(filepath=str(self.blend))
        push("Opened")
        return "done"

    # ------------------------------------------------------------ parts of the above

    def planes(self) -> list[Any]:
        """Return the planes of the file."""
        return list(module("scene.planes").everywhere())

    def note_engine(self) -> None:
        """Remember the engine that is running."""
        pid = module("connection.pump").engine_pid()
        if pid is not None:
            self.engines.add(pid)

    def _active(self) -> Any:
        import bpy

        return module("scene.planes").active(bpy.context)

    def _plane(self) -> Any:
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

    def _select_all(self) -> None:
        for plane in self.planes():
            plane.select_set(True)

    def _started(self, steps: int = 6, *, is_open: bool = False) -> int | None:
        """Start a drag with one or two pairs, and return its request; None without an image."""
        import bpy

        plane = self._plane()
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

    def _until_a_step(self) -> None:
        pump = module("connection.pump")
        pump.run_until(lambda now: now.step >= 1 or now.active is None, TIMEOUT_S)
        self.note_engine()


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
