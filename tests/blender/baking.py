# SPDX-License-Identifier: GPL-3.0-or-later
"""A test case for bakes: scenes with animated pairs, and functions that bake them."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray
from support import TIMEOUT_S, SceneCase, ours


class BakeCase(SceneCase):
    """A test of bakes of animated pairs with the fake engine."""

    def animated(self, *options: str, last: int = 12) -> Any:
        """Make a plane with a keyed pair in a scene of the frames 1 to ``last``."""
        self.use_fake_engine(*options)
        scene = bpy.context.scene
        scene.frame_start, scene.frame_end = 1, last
        scene.frame_set(1)
        plane = self.new_plane()
        self.key_target(self.add_pair(plane), {1: -0.2, last: 0.4})
        bpy.context.view_layer.objects.active = plane
        bpy.ops.ed.undo_push(message="Keys")
        return plane

    def key_target(self, pair: Any, xs: dict[int, float]) -> None:
        """Set linear keys of a target's x in the plane's space: frame -> x."""
        for frame, x in xs.items():
            pair.target.location.x = x
            pair.target.keyframe_insert("location", index=0, frame=frame)
        curve = ours("compat").find_fcurve(pair.target, "location", 0)
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"
        curve.update()
        bpy.context.scene.frame_set(bpy.context.scene.frame_current)

    def key_turn(self, pair: Any, angles: dict[int, float]) -> None:
        """Set linear keys of a target's rotation about the plane's normal: frame -> radians."""
        for frame, angle in angles.items():
            pair.target.rotation_euler.z = angle
            pair.target.keyframe_insert("rotation_euler", index=2, frame=frame)
        curve = ours("compat").find_fcurve(pair.target, "rotation_euler", 2)
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"
        curve.update()
        bpy.context.scene.frame_set(bpy.context.scene.frame_current)

    def handle_turn(self, plane: Any, frame: int) -> tuple[float, float]:
        """Go to a frame and return the first handle's rotation in the plane, and its scale."""
        bpy.context.scene.frame_set(frame)
        graph = bpy.context.evaluated_depsgraph_get()
        handle = plane.draggan.pairs[0].handle.evaluated_get(graph)
        return float(handle.rotation_euler.z), float(handle.scale.x)

    def turns(self, edit: Any) -> NDArray[Any]:
        return np.frombuffer(edit.turns, "<f4").reshape(edit.frame_count, -1, 2)

    def bake(self, plane: Any) -> None:
        """Bake, and wait for the result."""
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), TIMEOUT_S)

    def start_bake(self, plane: Any, until: float = 0.2) -> int:
        """Start a bake, and wait until its progress is ``until``; return the request id."""
        request_id: int = ours("jobs.bake").start_bake(plane)
        self.run_until(lambda now: now.fraction >= until)
        return request_id

    def edit_of(self, plane: Any) -> Any:
        """Return the edit that would be baked now."""
        bakes = ours("jobs.bake")
        return bakes.make_edit(plane, bakes.frames_of(plane))

    def targets_px(self, edit: Any) -> NDArray[Any]:
        return np.frombuffer(edit.targets_px, "<f4").reshape(edit.frame_count, -1, 2)

    def handle_x(self, plane: Any, frame: int) -> float:
        """Go to a frame and return the first handle's x in the plane's space."""
        bpy.context.scene.frame_set(frame)
        graph = bpy.context.evaluated_depsgraph_get()
        return float(plane.draggan.pairs[0].handle.evaluated_get(graph).location.x)

    def files(self, plane: Any) -> dict[str, bytes]:
        folder = ours("scene.images").sequence_folder(plane)
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}
