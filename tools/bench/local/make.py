# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the lists of drags and their truth: ``python -m tools.bench.local.make``.

For each drag, Suzanne is rendered as a picture of the model begins, and once more with the part
moved: the vertices of the part take the motion, and it fades out around it. So the places of the
handles before and after are known exactly, and the second picture is the truth. What differs
between the two, and a few pixels around it, is the part: all that an artist expects to change.

The command needs Blender as a module (``bpy``) and takes a few minutes. What it writes belongs to
the repository; ``drags`` reads it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tools.suzanne import factors, shapes
from tools.suzanne.scene import LANDMARKS, SuzanneScene

from . import parts
from .drags import DATA, FIRST_SEEDS, SIZE_PX, TRUNCATION, sheet_of
from .kinds import KINDS, Kind

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]

# Drags of each kind in each list.
EACH = 2
# The pulled point that moves farthest moves at least so far, and the others at least so far, px.
_LEAST_PULL_PX, _LEAST_EACH_PX = 4.0, 2.5
# The length of a pull varies by this share.
_VARIATION = 0.15
# A kind that no seed of so many suits is an error of its definition.
_MOST_TRIES = 400
# Handles and targets are this far inside the picture, px.
_BORDER_PX = 4.0
# The background around a handle on it, px.
_BACKGROUND_PX = 9.0
# A target outside the image is this far outside, px.
_OUTSIDE_PX = 8.0
# Pixels of the two renders that differ by more than this (of 255) belong to the part; so does what
# is this near to them, px. Fewer pixels of a kind than 3 x 3 are noise of the renderer.
_CHANGED = 6
_PART_MARGIN_PX = 3
# Vertices that take more than this of the motion are inside a painted mask, with this margin, px.
_MASKED_WEIGHT = 0.2
_MASK_MARGIN_PX = 4.0


class _UnsuitableError(Exception):
    """The seed's picture does not show what the kind needs."""


@dataclass
class _Points:
    """Handles and pins of a drag, as vertices of the subdivided mesh."""

    handles: list[int]
    pins: list[int]


class _Maker:
    """Makes drags with one scene."""

    def __init__(self, folder: Path, samples: int) -> None:
        self._scene = SuzanneScene(size_px=SIZE_PX, samples=samples)
        self._folder = folder
        self._shapes = shapes.offsets(self._scene.coordinates)
        self._mirror = _mirror_of(self._scene.coordinates)
        self._landmarks = {vertex: name for name, vertex in LANDMARKS.items()}

    def drag(self, kind: Kind, seed: int) -> tuple[dict[str, object], Bytes, Bytes]:
        """Return the description, the truth and the part of a drag.

        Raises:
            _UnsuitableError: Another seed must be tried.
        """
        random = np.random.default_rng(seed)
        values = TRUNCATION * factors.sample_factors(seed, 0)
        self._scene.apply(values)
        self._scene.deform(None)
        side = 1 if random.random() < 0.5 else -1
        if kind.place == "background":
            return self._background(kind, seed, random, values)
        direction = np.radians(side * (kind.degrees + random.uniform(-1, 1) * kind.spread))
        way = np.array([-np.sin(direction), -np.cos(direction)])
        points = self._points(kind, side, way, random)
        start = self._seen(points.handles + points.pins)
        face = _rounded(self._scene.landmarks()[0])
        field, weight = self._field(kind, side, points.handles[0], way, values, random)
        if kind.leaves:
            targets = start.copy()
            targets[0] = _beyond(start[0], way)
        else:
            self._scene.deform(field)
            targets = self._seen(points.handles + points.pins)
            targets[len(points.handles) :] = start[len(points.handles) :]
            pulls = np.linalg.norm(targets - start, axis=1)[: len(points.handles)]
            if pulls.max() < _LEAST_PULL_PX or pulls.min() < _LEAST_EACH_PX:
                raise _UnsuitableError
        inside = self._corners(weight, start, targets)
        truth, part = self._truth(kind, field)
        names = [self._landmarks.get(vertex) for vertex in points.handles + points.pins]
        description = {
            "kind": kind.name,
            "seed": seed,
            "factors": [round(float(value), 6) for value in values],
            "handles_px": _rounded(start),
            "targets_px": _rounded(targets),
            "pins": len(points.pins),
            "landmarks": names,
            "face_px": face,
            "mask": _shape_around(kind.mask, inside),
        }
        return description, truth, part

    def _points(self, kind: Kind, side: int, way: Array, random: np.random.Generator) -> _Points:
        def on(vertices: tuple[int, ...], where: int) -> list[int]:
            return [vertex if where > 0 else int(self._mirror[vertex]) for vertex in vertices]

        if kind.place == "outline":
            return _Points([self._outline(way)], [])
        handles = on(kind.handles, side)
        if kind.both_sides:
            handles += on(kind.handles, -side)
        return _Points(handles, on(kind.pins, side) + on(kind.other_pins, -side))

    def _outline(self, way: Array) -> int:
        """Return the vertex of the head without its ears that is farthest in a direction."""
        everything, _ = self._scene.places(None)
        ears = self._nearest_of_all(parts.weights("ear", self._scene.coordinates, 1))
        ears = ears + self._nearest_of_all(parts.weights("ear", self._scene.coordinates, -1))
        return int(np.argmax(np.where(ears > 0, -np.inf, everything @ way)))

    def _nearest_of_all(self, values: Array) -> Array:
        """Return for each vertex of the subdivided mesh the value of the nearest original one."""
        everything, _ = self._scene.places(None)
        original = everything[: len(values)]
        gaps = np.linalg.norm(everything[:, None] - original[None], axis=2)
        nearest: Array = values[gaps.argmin(axis=1)]
        return nearest

    def _seen(self, vertices: list[int]) -> Array:
        """Return the places of vertices; raise ``_UnsuitableError`` if one is hidden or outside."""
        places, visible = self._scene.places(vertices)
        inside = (places > _BORDER_PX) & (places < SIZE_PX - _BORDER_PX)
        if not (visible.all() and inside.all()):
            raise _UnsuitableError
        return places.astype(np.float64)

    def _field(
        self,
        kind: Kind,
        side: int,
        handle: int,
        way: Array,
        values: Array,
        random: np.random.Generator,
    ) -> tuple[Array, Array]:
        """Return how each vertex moves, ``V x 3``, and how much of the motion it takes, ``V``."""
        rest = self._scene.coordinates
        if kind.part == "around":
            places, _ = self._scene.places(None)
            original = places[: len(rest)]
            middle = int(np.linalg.norm(original - places[handle], axis=1).argmin())
            weight = parts.around(rest, middle if handle >= len(rest) else handle, kind.radius)
        else:
            weight = parts.weights(kind.part, rest, side)
        if kind.length_px or kind.leaves:
            share = 1.0 + _VARIATION * random.uniform(-1, 1)
            return share * self._pull(kind, weight, handle, way), weight
        by_name = dict(zip(factors.FACTORS, values, strict=True))
        shaped = rest + sum(by_name[name] * offset for name, offset in self._shapes.items())
        centre = np.array(kind.centre) * (side, 1.0, 1.0)
        centre = centre + (shaped - rest)[np.linalg.norm(rest - centre, axis=1).argmin()]
        angle = np.radians(side * kind.turn)
        cos, sin = np.cos(angle), np.sin(angle)
        # Counter-clockwise as the camera sees it, which looks along +y.
        turn = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
        rotation = self._scene.rotation
        linear = rotation.T @ turn @ rotation @ np.diag(kind.scale)
        return weight[:, None] * ((shaped - centre) @ (linear - np.eye(3)).T), weight

    def _pull(self, kind: Kind, weight: Array, handle: int, way: Array) -> Array:
        """Return a shift that moves the handle by the wanted length in the picture."""
        if kind.along is not None:
            ends, _ = self._scene.places(list(kind.along))
            way = (ends[1] - ends[0]).astype(np.float64)
            way /= np.linalg.norm(way)
        field: Array = weight[:, None] * self._scene.shift_of(handle, list(way))
        before, _ = self._scene.places([handle])
        self._scene.deform(field)
        after, _ = self._scene.places([handle])
        self._scene.deform(None)
        moved = float(np.linalg.norm(after - before))
        if moved < 0.2:
            raise _UnsuitableError  # the handle is hardly on the part
        return field * (kind.length_px / moved)

    def _corners(self, weight: Array, start: Array, targets: Array) -> Array:
        """Return the places that a painted mask must contain: the part before and after."""
        chosen = np.flatnonzero(weight > _MASKED_WEIGHT).tolist()
        after, _ = self._scene.places(chosen)
        self._scene.deform(None)
        before, _ = self._scene.places(chosen)
        pulled = targets[(targets != start).any(axis=1)]
        return np.concatenate([before, after, start[: len(pulled)], pulled])

    def _truth(self, kind: Kind, field: Array) -> tuple[Bytes, Bytes]:
        if not kind.has_truth:
            return self._render(None), np.zeros((SIZE_PX, SIZE_PX), dtype=np.uint8)
        before, after = self._render(None), self._render(field)
        changed = np.abs(after.astype(int) - before).max(axis=2) > _CHANGED
        return after, _cleaned(changed)

    def _render(self, field: Array | None) -> Bytes:
        self._scene.deform(field)
        path = self._folder / "picture.png"
        self._scene.render(path)
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))

    def _background(
        self, kind: Kind, seed: int, random: np.random.Generator, values: Array
    ) -> tuple[dict[str, object], Bytes, Bytes]:
        """Return a drag of a place of the plain background, in any direction."""
        head, _ = self._scene.places(None)
        low, high = 2 * _BORDER_PX, SIZE_PX - 2 * _BORDER_PX
        for _ in range(1000):
            handle = random.uniform(low, high, 2)
            angle = random.uniform(0, 2 * np.pi)
            target = handle + kind.length_px * np.array([np.sin(angle), np.cos(angle)])
            gap = np.linalg.norm(head - handle, axis=1).min()
            if gap > _BACKGROUND_PX and ((target > low) & (target < high)).all():
                break
        else:
            raise _UnsuitableError
        ends = np.stack([handle, target])
        description = {
            "kind": kind.name,
            "seed": seed,
            "factors": [round(float(value), 6) for value in values],
            "handles_px": _rounded(ends[:1]),
            "targets_px": _rounded(ends[1:]),
            "pins": 0,
            "landmarks": [None],
            "face_px": _rounded(self._scene.landmarks()[0]),
            "mask": _shape_around(kind.mask, ends),
        }
        truth, part = self._truth(kind, np.zeros(0))
        return description, truth, part


def _mirror_of(coordinates: Array) -> NDArray[np.int64]:
    """Return for each vertex the index of its mirror image."""
    mirrored = coordinates * (-1.0, 1.0, 1.0)
    gaps = np.linalg.norm(coordinates[None] - mirrored[:, None], axis=2)
    nearest: NDArray[np.int64] = gaps.argmin(axis=1)
    return nearest


def _beyond(handle: Array, way: Array) -> Array:
    """Return the place outside the picture that is reached from a handle in a direction."""
    steps = np.where(way > 0, SIZE_PX - handle, handle) / np.maximum(np.abs(way), 1e-6)
    beyond: Array = handle + way * (float(steps.min()) + _OUTSIDE_PX / np.abs(way).max())
    return beyond


def _cleaned(changed: NDArray[np.bool_]) -> Bytes:
    """Return changed pixels without specks and with a margin, 255 or 0."""
    image = Image.fromarray(changed.astype(np.uint8) * 255)
    image = image.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MaxFilter(3))
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * _PART_MARGIN_PX + 1)))


def _shape_around(shape: str, places: Array) -> list[object]:
    """Return a circle (x, y, radius) or a box (left, top, right, bottom) around places."""
    low, high = places.min(axis=0), places.max(axis=0)
    if shape == "box":
        ends = [*(low - _MASK_MARGIN_PX), *(high + _MASK_MARGIN_PX)]
        return ["box", *(round(float(value), 1) for value in ends)]
    middle = (low + high) / 2
    radius = np.linalg.norm(places - middle, axis=1).max() + _MASK_MARGIN_PX
    return ["circle", *(round(float(value), 1) for value in (*middle, radius))]


def _rounded(points: Array | NDArray[np.float32]) -> list[list[float]]:
    return [[round(float(value), 2) for value in point] for point in points]


def make(name: str, samples: int) -> None:
    """Make a list and write its files into ``DATA``."""
    drags, truths, regions = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        maker = _Maker(Path(folder), samples)
        seed = FIRST_SEEDS[name]
        for kind in KINDS:
            for _ in range(EACH):
                for _ in range(_MOST_TRIES):
                    seed += 1
                    try:
                        drag, truth, part = maker.drag(kind, seed)
                    except _UnsuitableError:
                        continue
                    break
                else:
                    raise ValueError(f"no seed suits the kind {kind.name!r}")
                print(f"{name}: {kind.name}, seed {seed}")
                drags.append(drag)
                truths.append(truth)
                regions.append(part)
    lines = ",\n".join(json.dumps(drag) for drag in drags)
    DATA.mkdir(exist_ok=True)
    (DATA / f"{name}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    Image.fromarray(sheet_of(truths)).save(DATA / f"{name}_truth.png", optimize=True)
    sheet = Image.fromarray(sheet_of(regions)).convert("1")
    sheet.save(DATA / f"{name}_part.png", optimize=True)


def main() -> None:
    """Make the lists that the command line names, by default both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", choices=tuple(FIRST_SEEDS), help="one list only")
    parser.add_argument("--samples", type=int, default=64, help="rays per pixel")
    options = parser.parse_args()
    for name in [options.list] if options.list else FIRST_SEEDS:
        make(name, options.samples)


if __name__ == "__main__":
    main()
