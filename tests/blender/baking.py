# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes with animated pairs, and bakes of them."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from support import TIMEOUT_S, SceneCase, ours


class BakeCase(SceneCase):
    """Scenes with animated pairs, and bakes of them."""

    def animated(self, *options: str, last: int = 12) -> Any:
        """A plane with a keyed pair, on the timeline from frame 1 to ``last``."""
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
        """Linear keys of a target's x, in the plane's space."""
        for frame, x in xs.items():
            pair.target.location.x = x
            pair.target.keyframe_insert("location", index=0, frame=frame)
        curve = ours("compat").find_fcurve(pair.target, "location", 0)
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"
        curve.update()
        bpy.context.scene.frame_set(bpy.context.scene.frame_current)

    def bake(self, plane: Any) -> None:
        """A bake from the first to the last message."""
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), TIMEOUT_S)

    def start_bake(self, plane: Any, until: float = 0.2) -> int:
        """A bake that runs, and is this far; the request's id."""
        request_id: int = ours("jobs.bake").start_bake(plane)
        pump = ours("connection.pump")
        self.assertTrue(pump.run_until(lambda now: now.fraction >= until, TIMEOUT_S))
        return request_id

    def edit_of(self, plane: Any) -> Any:
        """The edit as it would be baked now."""
        bakes = ours("jobs.bake")
        return bakes.make_edit(plane, bakes.frames_of(plane))

    def targets_px(self, edit: Any) -> np.ndarray:
        return np.frombuffer(edit.targets_px, "<f4").reshape(edit.frame_count, -1, 2)

    def handle_x(self, plane: Any, frame: int) -> float:
        """Where the first handle is at a frame, in the plane's space."""
        bpy.context.scene.frame_set(frame)
        graph = bpy.context.evaluated_depsgraph_get()
        return float(plane.draggan.pairs[0].handle.evaluated_get(graph).location.x)

    def files(self, plane: Any) -> dict[str, bytes]:
        folder = ours("scene.images").sequence_folder(plane)
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}
