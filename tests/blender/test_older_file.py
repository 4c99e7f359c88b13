# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that version 0.1 saved: it opens with all that it held, and can be worked on.

``tests/data/saved_by_0_1.blend`` was saved by version 0.1.0 in Blender 4.2, with the built-in
model and the real engine, by its operators. Its sequences are not in the repository, as if the file
had come from another machine. The farm's folder was renamed later, here and in the JSON.
The file holds three GAN images:

- *Dragged*: from frame 5, with two pairs, the second disabled, a packed mask, a folder, and
  settings that all differ from their defaults.
- *Baked*: dragged with two pairs; then the target of the first was keyed together with its
  influence, the tolerance and the truncation, and frames 1 to 12 were baked over the drag, refined
  once, and retimed to last until frame 20.
- *Mixed*: three latent keys, and a blend of the other two images with one animated weight.

``saved_by_0_1.json`` is what ``write_description`` wrote in version 0.1 after that version had
opened the file; ``saved_by_0_1.png`` is the last frame of *Dragged*. All three stay as they are: a
test that fails here means that the files of users no longer open as they were.

Nearly everything is reached through operators, properties and data paths, because the module names
of the extension may change and these may not.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import rendering
import support
from numpy.typing import NDArray
from support import SceneCase, ours

DATA = support.CHECKOUT / "tests" / "data"
NAME = "saved_by_0_1"
NAMES = ("Dragged", "Baked", "Mixed")
FRAMES = range(1, 37)
# Of the built-in model: layers and numbers per layer of a latent, and the side of an image.
LATENT_SHAPE = (12, 64)
SIDE_PX = 128
# An F-curve, a driver and a track keep places as float32.
NEAR = 1e-5
PROGRESS_PATH = '["draggan_progress"]'
# The pictures that the points of version 0.1 were drawn with; later versions need none.
OLD_MARKERS = ("GAN Handle Marker", "GAN Target Marker")
# Settings that nobody had touched: a file holds no value for them, so they have this version's.
NEW_DEFAULTS = {("Mixed", "draggan.drag.latent_space"): "automatic"}
ANIMATED = {
    "Dragged": (),
    "Baked": (
        "draggan.pairs[0].influence",
        "draggan.drag.tolerance_px",
        "draggan.source.truncation_psi",
        PROGRESS_PATH,
    ),
    "Mixed": ("draggan.timeline.blend_sources[0].weight",),
}


def plain(value: Any) -> Any:
    """Return a property's value as JSON has it: an ID's name, a collection's length.

    Text of more than 80 characters becomes its SHA-256.
    """
    if isinstance(value, bpy.types.ID):
        return f"{value.bl_rna.identifier} {value.name}"
    if isinstance(value, str) and len(value) > 80:
        return hashlib.sha256(value.encode()).hexdigest()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return len(value) if isinstance(value, bpy.types.bpy_prop_collection) else list(value)


def stored_values(owner: Any, path: str) -> dict[str, Any]:
    """Return every value that a property group stores, with those of its groups, by data path."""
    found: dict[str, Any] = {}
    for item in owner.path_resolve(path).bl_rna.properties:
        inner = f"{path}.{item.identifier}"
        if item.identifier == "rna_type":
            continue
        value = owner.path_resolve(inner)
        if item.type == "COLLECTION":
            found[inner] = len(value)
            for index in range(len(value)):
                found |= stored_values(owner, f"{inner}[{index}]")
        elif isinstance(value, bpy.types.PropertyGroup):
            found |= stored_values(owner, inner)
        elif not (item.is_readonly or (item.identifier == "name" and not value)):
            found[inner] = plain(value)
    return found


def image_node(plane: Any) -> Any:
    """Return the Image Texture node of a plane."""
    nodes = plane.active_material.node_tree.nodes
    (node,) = [node for node in nodes if node.type == "TEX_IMAGE"]
    return node


def shown_number(plane: Any, frame: int) -> int:
    """Return the number of the file that the plane shows at the current frame, ``frame``."""
    user = image_node(plane).image_user
    part = min(max(frame - user.frame_start + 1, 0), user.frame_duration)
    return int(part + user.frame_offset)


def places(plane: Any, objects: list[Any]) -> list[list[float]]:
    """Return where objects are on a plane now, ``N x 2`` in the plane's space."""
    graph = bpy.context.evaluated_depsgraph_get()
    to_local = plane.evaluated_get(graph).matrix_world.inverted()
    found = [to_local @ item.evaluated_get(graph).matrix_world.translation for item in objects]
    return [[round(point.x, 6), round(point.y, 6)] for point in found]


def playback(plane: Any, frame: int) -> dict[str, Any]:
    """Return what a plane shows and where its points are at the current frame, ``frame``."""
    pairs = plane.draggan.pairs
    return {
        "file": shown_number(plane, frame),
        "handles": places(plane, [pair.handle for pair in pairs]),
        "targets": places(plane, [pair.target for pair in pairs]),
        "animated": [round(plane.path_resolve(path), 6) for path in ANIMATED[plane.name]],
    }


def image_files(image: Any) -> dict[str, Any]:
    """Return where an image's pixels are kept."""
    return {
        "source": image.source,
        "filepath": image.filepath.replace("\\", "/"),
        "packed": image.packed_file is not None,
        "color_space": image.colorspace_settings.name,
    }


def write_description(path: Path) -> None:
    """Write what the open file holds: how ``saved_by_0_1.json`` was made, by version 0.1.0."""
    scene = bpy.context.scene
    planes = [bpy.data.objects[name] for name in NAMES]
    images = [image for image in bpy.data.images if image.users]
    values = {plane.name: stored_values(plane, "draggan") for plane in planes}
    scene_values = stored_values(scene, "draggan") | stored_values(scene, "draggan_farm")
    shown: dict[str, list[Any]] = {plane.name: [] for plane in planes}
    for frame in FRAMES:
        scene.frame_set(frame)
        for plane in planes:
            shown[plane.name].append(playback(plane, frame))
    description = {
        "values": values,
        "scene": scene_values,
        "images": {image.name: image_files(image) for image in images},
        "playback": shown,
    }
    text = json.dumps(description, indent=1)
    # Lists of numbers on one line.
    text = re.sub(r"(?<=\[)[^\[\]{}\"]+(?=\])", lambda found: " ".join(found[0].split()), text)
    path.write_text(text + "\n", encoding="utf-8")


def decoded(text: str) -> NDArray[Any]:
    """Return a latent that is kept as text."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4").reshape(LATENT_SHAPE)


def arrays_of(track: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a track that is kept as text."""
    with np.load(io.BytesIO(base64.b64decode(track)), allow_pickle=False) as arrays:
        return dict(arrays)


def latents_of(track: str) -> NDArray[Any]:
    """Return the latent of each row of a track that is kept as text: ``T x L x w_dim``."""
    arrays = arrays_of(track)
    edited = arrays["edited"]
    whole = np.repeat(arrays["start"][None], len(edited), axis=0)
    whole[:, : edited.shape[1]] = edited
    return whole


def on_plane(points_px: NDArray[Any]) -> NDArray[Any]:
    """Return points of a square image, ``... x 2`` px from the top left, in the plane's space."""
    return (points_px / SIDE_PX * 2.0 - 1.0) * (1.0, -1.0)


class OlderFileTest(SceneCase):
    saved: dict[str, Any]

    def setUp(self) -> None:
        """Open a copy: what is rendered again goes into folders beside it."""
        super().setUp()
        self.saved = json.loads((DATA / f"{NAME}.json").read_text(encoding="utf-8"))
        path = self.folder / f"{NAME}.blend"
        shutil.copyfile(DATA / path.name, path)
        bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False)

    def plane(self, name: str) -> Any:
        """Return a plane and make it the active object."""
        plane = bpy.data.objects[name]
        bpy.context.view_layer.objects.active = plane
        return plane

    def frame_files(self, plane: Any) -> list[Path]:
        """Return the files of the shown sequence, in order."""
        first = Path(bpy.path.abspath(plane.draggan.sequence.image.filepath))
        return sorted(first.parent.glob(f"{plane.draggan.sequence.stem}_*.png"))

    def render_again(self, plane: Any) -> list[Path]:
        """Press Restore Images for an active plane, whose files are missing; return the files."""
        self.assertEqual(self.frame_files(plane), [])
        self.assertEqual(bpy.ops.draggan.render_again(), {"FINISHED"})
        sequence, files = plane.draggan.sequence, self.frame_files(plane)
        numbers = [int(path.stem[-4:]) for path in files]
        first = sequence.first_frame
        self.assertEqual(numbers, list(range(first - 1, first + sequence.frame_count)))
        self.assertFalse(plane.draggan.failed)
        self.assertEqual(image_node(plane).image, sequence.image)
        self.assertEqual(rendering.read(files[-1]).shape, (SIDE_PX, SIDE_PX, 3))
        return files

    def check_values(self, owner: Any, saved: dict[str, Any]) -> None:
        """Fail for each data path that is missing or has another value than was saved."""
        for path, expected in saved.items():
            with self.subTest(owner=owner.name, path=path):
                found = plain(owner.path_resolve(path))
                expected = NEW_DEFAULTS.get((owner.name, path), expected)
                if isinstance(expected, float):
                    self.assertAlmostEqual(found, expected, delta=1e-6 * max(1.0, abs(expected)))
                else:
                    self.assertEqual(found, expected)

    def check_keys(self, handle: Any, first: int, path: NDArray[Any]) -> None:
        """Fail unless a handle has a key at each frame from ``first`` on, as a track has it."""
        for axis in (0, 1):
            curve = ours("compat").find_fcurve(handle, "location", axis)
            self.assertIsNotNone(curve, f"{handle.name} has no path")
            keys = np.array([tuple(key.co) for key in curve.keyframe_points])
            self.assertEqual(keys[:, 0].tolist(), [float(first + i) for i in range(len(path))])
            np.testing.assert_allclose(keys[:, 1], path[:, axis], atol=NEAR)

    def test_every_value_comes_back(self) -> None:
        for name in NAMES:
            saved = self.saved["values"][name]
            self.assertGreater(len(saved), 60)
            self.check_values(self.plane(name), saved)
        self.check_values(bpy.context.scene, self.saved["scene"])
        for name, expected in self.saved["images"].items():
            if name in OLD_MARKERS:
                continue
            with self.subTest(image=name):
                self.assertEqual(image_files(bpy.data.images[name]), expected)

    def test_its_points_have_no_pictures_any_more_but_numbers_and_colours(self) -> None:
        pairs = [pair for name in NAMES for pair in self.plane(name).draggan.pairs]
        for pair in pairs:
            self.assertGreater(pair.number, 0)
            self.assertNotEqual(tuple(pair.color), (1.0, 1.0, 1.0))
            for point in (pair.handle, pair.target):
                self.assertNotEqual(point.empty_display_type, "IMAGE")
                self.assertFalse(point.lock_rotation[2])
        self.assertEqual(len(pairs), 5)
        for name in OLD_MARKERS:
            self.assertNotIn(name, bpy.data.images)

    def test_every_frame_plays_as_it_did(self) -> None:
        for index, frame in enumerate(FRAMES):
            bpy.context.scene.frame_set(frame)
            for name in NAMES:
                found = playback(self.plane(name), frame)
                for key, expected in self.saved["playback"][name][index].items():
                    np.testing.assert_allclose(
                        found[key], expected, atol=NEAR, err_msg=f"{name}, frame {frame}, {key}"
                    )

    def test_images_latents_and_tracks_are_whole(self) -> None:
        uuids = set()
        for name, seed, count, points, kind in (
            ("Dragged", 4, 29, 1, "DRAG"),
            ("Baked", 12, 12, 1, "BAKE"),
            ("Mixed", 23, 12, 0, "LATENTS"),
        ):
            settings = self.plane(name).draggan
            uuids.add(settings.uuid)
            self.assertEqual((settings.source.kind, settings.source.seed), ("BUILT_IN", seed))
            self.assertEqual((settings.sampled_seed, settings.w_dim), (seed, LATENT_SHAPE[1]))
            self.assertEqual(tuple(settings.size), (SIDE_PX, SIDE_PX))
            self.assertEqual((settings.sequence.kind, settings.sequence.stem), (kind, name))
            self.assertEqual(settings.sequence.frame_count, count)
            self.assertEqual(
                (settings.request_id, settings.dragging, settings.baking, settings.failed),
                (0, False, False, False),
            )
            for text in (settings.latent, settings.sampled_latent):
                self.assertTrue(np.isfinite(decoded(text)).all())
            arrays = arrays_of(settings.track)
            self.assertEqual(arrays["handles_px"].shape, (count, points, 2))
            self.assertTrue(np.isfinite(latents_of(settings.track)).all())
            self.assertEqual(len(latents_of(settings.track)), count)
            # The still is in the file, and not one colour.
            pixels = np.empty(SIDE_PX * SIDE_PX * 4, dtype=np.float32)
            settings.still.pixels.foreach_get(pixels)
            self.assertGreater(float(pixels.reshape(-1, 4)[:, :3].std()), 0.05)
            self.assertEqual(image_node(bpy.data.objects[name]).image, settings.sequence.image)
        self.assertEqual(len(uuids), 3)

    def test_the_drag_has_its_points_paths_and_mask(self) -> None:
        plane = self.plane("Dragged")
        settings, first, second = plane.draggan, *plane.draggan.pairs
        self.assertEqual((first.enabled, second.enabled), (True, False))
        self.assertAlmostEqual(first.influence, 0.9, places=6)
        self.assertAlmostEqual(second.influence, 0.25, places=6)
        for pair in (first, second):
            self.assertEqual((pair.handle.parent, pair.target.parent), (plane, plane))
        for point, uv in ((first.target, (0.6, 0.46)), (second.handle, (0.18, 0.491))):
            np.testing.assert_allclose(point.location[:2], np.array(uv) * 2 - 1, atol=NEAR)
        track = arrays_of(settings.track)
        path = on_plane(track["handles_px"][:, 0])
        self.assertGreater(float(np.abs(path[-1] - path[0]).max()), 0.02)
        self.check_keys(first.handle, 5, path)
        self.assertIsNone(ours("compat").find_fcurve(second.handle, "location", 0))
        np.testing.assert_array_equal(latents_of(settings.track)[-1], decoded(settings.latent))
        self.assertFalse(np.array_equal(decoded(settings.sampled_latent), decoded(settings.latent)))
        mask = settings.mask
        self.assertEqual(tuple(mask.size), (32, 32))
        pixels = np.empty(32 * 32 * 4, dtype=np.float32)
        mask.pixels.foreach_get(pixels)
        expected = np.zeros((32, 32))
        expected[6:26, 4:28] = 1.0
        np.testing.assert_array_equal(pixels.reshape(32, 32, 4)[:, :, 0], expected)

    def test_the_bake_has_its_edit_and_what_it_covers(self) -> None:
        plane = self.plane("Baked")
        settings, bake = plane.draggan, plane.draggan.bake
        first, second = settings.pairs
        compat = ours("compat")
        for owner, path, frames in (
            (first.target, "location", [1, 6, 12]),
            (plane, "draggan.pairs[0].influence", [1, 12]),
            (plane, "draggan.drag.tolerance_px", [1, 12]),
            (plane, "draggan.source.truncation_psi", [1, 12]),
            (plane, PROGRESS_PATH, [1, 12, 20]),
        ):
            curve = compat.find_fcurve(owner, path, 0)
            self.assertIsNotNone(curve, path)
            self.assertEqual([key.co[0] for key in curve.keyframe_points], frames, path)
        # Retimed: drivers move the handle along the bake, with a key per image.
        drivers = [
            curve
            for curve in first.handle.animation_data.drivers
            if curve.data_path == "location" and curve.driver.is_valid
        ]
        self.assertEqual([curve.array_index for curve in drivers], [0, 1])
        handles = on_plane(arrays_of(settings.track)["handles_px"][:, 0])
        for axis, curve in enumerate(drivers):
            keys = np.array([tuple(key.co) for key in curve.keyframe_points])
            self.assertEqual(keys[:, 0].tolist(), list(range(12)))
            np.testing.assert_allclose(keys[:, 1], handles[:, axis], atol=NEAR)
        self.assertEqual((settings.sequence.first_frame, bake.refinements), (1, 1))
        self.assertEqual((first.path_slot, second.path_slot), (0, -1))
        self.assertEqual((first.under_slot, second.under_slot), (0, 1))
        under = bake.under
        self.assertEqual((under.kind, under.first_frame, under.stem), ("DRAG", 1, "Baked"))
        self.assertEqual(arrays_of(bake.under_track)["handles_px"].shape, (under.frame_count, 2, 2))
        np.testing.assert_array_equal(latents_of(bake.under_track)[-1], decoded(settings.latent))

    def test_latent_keys_and_blend_make_the_same_sequences(self) -> None:
        plane = self.plane("Mixed")
        settings, timeline = plane.draggan, plane.draggan.timeline
        self.assertEqual([key.frame for key in timeline.latent_keys], [16, 2, 9])
        keys = [decoded(key.latent) for key in timeline.latent_keys]
        self.assertEqual([source.image.name for source in timeline.blend_sources], list(NAMES[:2]))
        before = latents_of(settings.track)
        self.assertEqual(bpy.ops.draggan.blend(), {"FINISHED"})
        self.assertEqual((settings.sequence.first_frame, settings.sequence.frame_count), (3, 12))
        np.testing.assert_allclose(latents_of(settings.track), before, atol=NEAR)
        self.assertEqual(bpy.ops.draggan.render_keys(), {"FINISHED"})
        rows = latents_of(settings.track)
        self.assertEqual((settings.sequence.first_frame, len(rows)), (2, 15))
        for index, frame in enumerate((16, 2, 9)):
            np.testing.assert_array_equal(rows[frame - 2], keys[index])

    def test_render_again_and_reset(self) -> None:
        plane = self.plane("Dragged")
        settings = plane.draggan
        files = self.render_again(plane)
        self.assertTrue(files[0].is_relative_to(self.folder / "frames"))
        expected = rendering.read(DATA / f"{NAME}.png")
        found = rendering.read(files[-1])
        self.assertLessEqual(float(np.abs(found - expected).max()), 2.0)
        # That the comparison can fail: the drag has changed the image.
        self.assertGreater(float(np.abs(rendering.read(files[0]) - expected).max()), 20.0)

        self.assertEqual(bpy.ops.draggan.reset(), {"FINISHED"})
        self.assertEqual(settings.latent, settings.sampled_latent)
        self.assertEqual((settings.track, settings.status), ("", ""))
        self.assertIsNone(settings.sequence.image)
        self.assertEqual(image_node(plane).image, settings.still)
        np.testing.assert_allclose(
            settings.pairs[0].handle.location[:2], (0.026, -0.108), atol=NEAR
        )
        self.assertIsNone(ours("compat").find_fcurve(settings.pairs[0].handle, "location", 0))

    def test_clear_bake_shows_the_drag_and_bake_goes_on_from_it(self) -> None:
        plane = self.plane("Baked")
        settings = plane.draggan
        under_track, under = settings.bake.under_track, settings.bake.under
        count, image = under.frame_count, under.image.name
        self.assertEqual(len(self.render_again(plane)), 13)
        self.assertEqual(bpy.ops.draggan.unretime(), {"FINISHED"})
        for index, frame in enumerate(range(1, 13)):
            bpy.context.scene.frame_set(frame)
            self.assertEqual(shown_number(plane, frame), index + 1)

        self.assertEqual(bpy.ops.draggan.clear_bake(), {"FINISHED"})
        sequence = settings.sequence
        self.assertEqual((sequence.kind, sequence.first_frame), ("DRAG", 1))
        self.assertEqual((sequence.frame_count, sequence.image.name), (count, image))
        self.assertEqual((settings.track, settings.bake.under_track), (under_track, ""))
        self.assertEqual(image_node(plane).image, sequence.image)
        paths = on_plane(arrays_of(under_track)["handles_px"])
        for pair in settings.pairs:
            self.check_keys(pair.handle, 1, paths[:, pair.path_slot])
        files = self.render_again(plane)
        self.assertEqual(len(files), count + 1)

        settings.bake.frame_end = 2
        self.assertEqual(bpy.ops.draggan.bake(), {"FINISHED"})
        self.assertEqual((sequence.kind, sequence.frame_count), ("BAKE", 2))
        self.assertTrue(math.isfinite(settings.pairs[0].handle.location.x))
