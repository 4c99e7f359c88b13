# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of an image: its states, going back, branches, and what the .blend stores of it."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from baking import BakeCase
from support import TIMEOUT_S, SceneCase, ours


def labels(plane: Any) -> list[str]:
    """Return the names of the states of a plane."""
    return [ours("scene.history").label(state) for state in plane.draggan.history.states]


def parents(plane: Any) -> list[int]:
    """Return the numbers of the parents of the states of a plane."""
    return [state.parent for state in plane.draggan.history.states]


def is_keyed(point: Any) -> bool:
    """Return whether the location of a point is keyed."""
    return ours("compat").find_fcurve(point, "location", 0) is not None


def shown(plane: Any) -> dict[str, Any]:
    """Return what is seen of a plane, and what it is made from."""
    settings = plane.draggan
    node = ours("scene.planes").texture_node(plane)
    user = node.image_user
    is_sequence = node.image.source == "SEQUENCE"
    return {
        "image": node.image.filepath if is_sequence else bytes(node.image.packed_file.data),
        "time": (user.frame_start, user.frame_offset, user.frame_duration) if is_sequence else (),
        "latent": settings.latent,
        "sampled": (settings.sampled_latent, settings.sampled_seed),
        "track": settings.track,
        "seed": (settings.source.seed, round(settings.source.truncation_psi, 5)),
        "status": settings.status,
        "frame": bpy.context.scene.frame_current,
        "points": [
            tuple(
                tuple(round(value, 5) for value in point.location[:2])
                for point in (pair.handle, pair.target)
            )
            for pair in settings.pairs
        ],
        "keyed": [is_keyed(pair.handle) for pair in settings.pairs],
        "has_base": [pair.has_base for pair in settings.pairs],
    }


class HistoryTest(SceneCase):
    def prepared(self) -> Any:
        """Make a plane with one pair, and drag it."""
        self.use_fake_engine("--steps", "4")
        plane = self.new_plane()
        bpy.context.view_layer.objects.active = plane
        self.add_pair(plane)
        return plane

    def go_to(self, plane: Any, number: int) -> None:
        bpy.context.view_layer.objects.active = plane
        self.assertEqual(bpy.ops.draggan.go_to_state(number=number), {"FINISHED"})

    def test_each_result_is_a_state_with_a_thumbnail(self) -> None:
        plane = self.prepared()
        self.drag(plane)
        self.drag(plane)
        self.assertEqual(labels(plane), ["Seed 1", "Drag 1", "Drag 2"])
        self.assertEqual(parents(plane), [0, 1, 2])
        self.assertEqual(plane.draggan.history.active, 3)
        thumbnails = ours("scene.thumbnails")
        seen = [thumbnails.to_pixels(state.thumbnail) for state in plane.draggan.history.states]
        self.assertEqual(seen[0].shape, (64, 64, 4))
        # The disc of the fake engine has moved to the right.
        yellow = [np.argwhere(image[..., 0] > 0.9)[:, 1].mean() for image in seen]
        self.assertLess(yellow[0] + 2, yellow[1])

    def test_going_back_restores_image_points_and_frame(self) -> None:
        plane = self.prepared()
        before = shown(plane)
        self.drag(plane)
        after = shown(plane)
        self.assertNotEqual(before["points"], after["points"])
        self.go_to(plane, 1)
        self.assertEqual(shown(plane), before)
        self.assertEqual(labels(plane), ["Seed 1", "Drag 1"])
        self.go_to(plane, 2)
        self.assertEqual(shown(plane), after)
        # The handle follows its path again.
        bpy.context.scene.frame_set(1)
        handle = plane.draggan.pairs[0].handle
        np.testing.assert_allclose(handle.location[:2], before["points"][0][0], atol=1e-4)

    def test_a_drag_from_an_earlier_state_is_a_branch(self) -> None:
        plane = self.prepared()
        self.drag(plane)
        self.go_to(plane, 1)
        plane.draggan.pairs[0].target.location.y = 0.4
        bpy.context.view_layer.update()
        self.drag(plane)
        self.assertEqual(labels(plane), ["Seed 1", "Drag 1", "Drag 2"])
        self.assertEqual(parents(plane), [0, 1, 1])
        ours("scene.history").delete(plane, 1)
        self.assertEqual(parents(plane), [0, 0])

    def test_one_undo_reverts_going_back(self) -> None:
        plane = self.prepared()
        self.drag(plane)
        after = shown(plane)
        self.go_to(plane, 1)
        before = shown(plane)
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.assertEqual(shown(plane), after)
        self.assertEqual(plane.draggan.history.active, 2)
        bpy.ops.ed.redo()
        self.assertEqual(shown(self.find_plane()), before)

    def test_a_state_whose_files_are_missing_is_rendered_again(self) -> None:
        plane = self.prepared()
        self.drag(plane)
        images = ours("scene.images")
        files = {p.name: p.read_bytes() for p in images.sequence_folder(plane).glob("*.png")}
        self.go_to(plane, 1)
        folder = images.folder_of(ours("scene.history").find(plane, 2).sequence)
        for path in folder.glob("*.png"):
            path.unlink()
        self.go_to(plane, 2)
        self.assertEqual(
            {p.name: p.read_bytes() for p in images.sequence_folder(plane).glob("*.png")}, files
        )
        self.assertEqual(len(plane.draggan.history.states), 2)

    def test_reset_goes_to_the_state_of_the_seed_and_keeps_the_drag(self) -> None:
        plane = self.prepared()
        self.drag(plane)
        after = shown(plane)
        bpy.ops.draggan.reset()
        self.assertEqual(labels(plane), ["Seed 1", "Drag 1"])
        self.assertEqual(plane.draggan.history.active, 1)
        self.go_to(plane, 2)
        self.assertEqual(shown(plane), after)

    def test_another_seed_does_not_lose_the_edit(self) -> None:
        plane = self.prepared()
        self.drag(plane)
        after = shown(plane)
        plane.draggan.source.seed = 5
        ours("jobs.requests").wait(ours("jobs.image").resample(plane), TIMEOUT_S)
        self.assertEqual(labels(plane), ["Seed 1", "Drag 1", "Seed 5"])
        self.go_to(plane, 2)
        self.assertEqual(shown(plane), after)

    def test_a_seed_has_one_state_and_another_truncation_replaces_it(self) -> None:
        plane = self.prepared()
        source, wait = plane.draggan.source, ours("jobs.requests").wait
        for seed, psi in ((2, 0.7), (1, 0.7), (2, 0.7), (2, 0.9)):
            source.seed, source.truncation_psi = seed, psi
            wait(ours("jobs.image").resample(plane), TIMEOUT_S)
        self.assertEqual(labels(plane), ["Seed 1", "Seed 2"])
        self.assertAlmostEqual(plane.draggan.history.states[1].truncation_psi, 0.9, places=5)
        plane.draggan.history.states[1].title = "Mine"
        source.truncation_psi = 0.3
        wait(ours("jobs.image").resample(plane), TIMEOUT_S)
        self.assertEqual(labels(plane), ["Seed 1", "Mine", "Seed 2 (0.30)"])

    def test_pairs_that_were_removed_come_back_and_later_ones_are_disabled(self) -> None:
        plane = self.prepared()
        before = tuple(plane.draggan.pairs[0].handle.location[:2])
        self.drag(plane)
        points = ours("scene.points")
        points.remove_pair(plane, 0)
        points.add_pair(plane, (0.2, 0.2), (0.3, 0.2))
        bpy.context.view_layer.update()
        self.drag(plane)
        # The state of the seed was left before the first drag.
        self.go_to(plane, 1)
        self.assertEqual({p.key: p.enabled for p in plane.draggan.pairs}, {1: True, 2: False})
        first = next(pair for pair in plane.draggan.pairs if pair.key == 1)
        np.testing.assert_allclose(first.handle.location[:2], before, atol=1e-5)
        self.go_to(plane, 3)
        self.assertEqual({p.key: p.enabled for p in plane.draggan.pairs}, {1: False, 2: True})
        second = next(pair for pair in plane.draggan.pairs if pair.key == 2)
        self.assertTrue(is_keyed(second.handle))

    def test_the_oldest_unnamed_states_are_dropped(self) -> None:
        plane = self.prepared()
        history = plane.draggan.history
        history.keep = 3
        history.states[0].title = "Start"
        for _ in range(4):
            self.drag(plane, 2)
        self.assertEqual(labels(plane), ["Start", "Drag 3", "Drag 4"])
        self.assertEqual(parents(plane), [0, 1, 4])
        used = {s.track for s in history.states} | {s.latent for s in history.states}
        self.assertEqual({item.name for item in history.texts}, used - {""})

    def test_states_share_equal_texts(self) -> None:
        plane = self.prepared()
        self.drag(plane)
        bpy.ops.draggan.reset()
        self.drag(plane)
        # One latent and one track for each drag, which are equal, and the latent of the seed.
        self.assertEqual(len(plane.draggan.history.states), 3)
        self.assertEqual(len(plane.draggan.history.texts), 3)

    def test_a_saved_file_has_the_history(self) -> None:
        plane = self.prepared()
        self.drag(plane)
        after = shown(plane)
        self.go_to(plane, 1)
        path = str(self.folder / "history.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        plane = self.find_plane()
        self.assertEqual(labels(plane), ["Seed 1", "Drag 1"])
        thumbnail = plane.draggan.history.states[1].thumbnail
        self.assertEqual(ours("scene.thumbnails").to_pixels(thumbnail).shape, (64, 64, 4))
        bpy.context.view_layer.objects.active = plane
        self.go_to(plane, 2)
        found = shown(plane)
        for name in ("latent", "track", "points", "frame", "keyed", "seed"):
            self.assertEqual(found[name], after[name], name)

    def test_a_file_without_a_history_gets_its_image_as_the_first_state(self) -> None:
        plane = self.prepared()
        history = plane.draggan.history
        history.states.clear()
        history.texts.clear()
        history.active = 0
        self.drag(plane)
        self.assertEqual(labels(plane), ["Seed 1", "Drag 1"])
        self.assertEqual(parents(plane), [0, history.states[0].number])


class BakeHistoryTest(BakeCase):
    def test_clearing_a_bake_keeps_it_in_the_history(self) -> None:
        plane = self.animated()
        self.bake(plane)
        self.assertEqual(labels(plane), ["Seed 1", "Bake 1"])
        after = shown(plane)
        bpy.ops.draggan.clear_bake()
        self.assertEqual(plane.draggan.history.active, 1)
        bpy.ops.draggan.go_to_state(number=2)
        self.assertEqual(shown(plane), after)
        self.assertTrue(ours("scene.images").shows_bake(plane))
        bpy.ops.draggan.clear_bake()
        self.assertFalse(ours("scene.images").shows_bake(plane))


class DuplicateTest(SceneCase):
    def test_a_duplicate_is_beside_the_original_and_independent(self) -> None:
        self.use_fake_engine("--steps", "4")
        plane = self.new_plane()
        bpy.context.view_layer.objects.active = plane
        self.add_pair(plane)
        self.drag(plane)
        before = shown(plane)
        self.assertEqual(bpy.ops.draggan.duplicate_image(), {"FINISHED"})
        copy = bpy.context.view_layer.objects.active
        self.assertNotEqual(copy, plane)
        self.assertGreater(copy.location.x, plane.location.x + plane.dimensions.x)
        self.assertEqual(shown(copy), before)
        self.assertEqual(labels(copy), ["Seed 1", "Drag 1"])
        self.assertNotEqual(copy.draggan.uuid, plane.draggan.uuid)
        actions = [p.draggan.pairs[0].handle.animation_data.action for p in (plane, copy)]
        self.assertNotEqual(*actions)
        copy.draggan.pairs[0].target.location.y = 0.3
        bpy.context.view_layer.update()
        self.drag(copy)
        self.assertEqual(shown(plane)["latent"], before["latent"])
        self.assertEqual(labels(plane), ["Seed 1", "Drag 1"])

    def test_deleting_a_plane_removes_its_points_and_its_collection(self) -> None:
        self.use_fake_engine()
        plane = self.new_plane()
        self.add_pair(plane)
        own = bpy.data.objects.new("Mine", None)
        own.parent = plane
        bpy.context.scene.collection.objects.link(own)
        watching = ours("jobs.watching")
        watching.look()
        bpy.ops.ed.undo_push(message="Points")
        with bpy.context.temp_override(selected_objects=[plane]):
            bpy.ops.object.delete()
        bpy.ops.ed.undo_push(message="Delete")
        watching.look()
        self.assertEqual([found.name for found in bpy.data.objects], ["Mine"])
        self.assertEqual(len(bpy.data.collections), 0)
        bpy.ops.ed.undo()
        watching.look()
        self.assertEqual(len(bpy.data.objects), 4)
        self.assertEqual(self.find_plane().draggan.pairs[0].handle.parent, self.find_plane())

    def test_a_copy_with_its_points_keeps_these(self) -> None:
        self.use_fake_engine()
        plane = self.new_plane()
        self.add_pair(plane)
        for item in bpy.data.objects:
            item.select_set(True)
        bpy.context.view_layer.objects.active = plane
        bpy.ops.object.duplicate()
        watching = ours("jobs.watching")
        watching._on_timer()
        self.assertEqual(len(bpy.data.objects), 6)
        first, second = ours("scene.planes").everywhere()
        self.assertNotEqual(first.draggan.uuid, second.draggan.uuid)
        for found in (first, second):
            (pair,) = found.draggan.pairs
            self.assertEqual((pair.handle.parent, pair.target.parent), (found, found))
