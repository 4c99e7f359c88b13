# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the parts that clicks select: ``python -m tools.bench.parts --out docs/parts.jpg``.

The built-in model's pictures of seeds are clicked on the parts that ``local.parts`` defines. The
truth of a part is where a camera sees it on Suzanne's mesh with the factors of the same seed. The
overlap is the intersection over the union of the two areas, without a margin.

The command needs Blender as a module (``bpy``).
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import torch
from mathutils import Vector
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from draggan_blender.scene.part_tree import PartTree
from engine.arrays import ByteArray, FloatArray
from engine.features.parts import find_parts
from engine.models import sample_latent
from engine.output.render import render_image
from stylegan2 import Generator, load_generator
from stylegan2.models import builtin_model_path
from tools.suzanne.scene import LANDMARKS, SuzanneScene
from tools.suzanne.truth import FactorMap

from .local import parts

BoolArray = NDArray[np.bool_]

# The seeds with which the parameters were chosen, and those of the table.
_CHOOSING, _TEST = range(900, 912), range(912, 924)
_TRUNCATION, _SIZE_PX = 0.7, 128
# The parts, those on both sides, the landmark on each, and how many pixels must be seen.
_PARTS = ("ear", "eye", "brow", "muzzle", "nose")
_PAIRED = ("ear", "eye", "brow")
_LANDMARKS = {"ear": "ear_{}", "eye": "eye_{}", "nose": "nose"}
_LEAST_PX = {"brow": 60}
_USUAL_LEAST_PX = 120
_SIDES = {"left": 1, "right": -1}


@dataclass(frozen=True)
class Click:
    """A click, what it should select, and what it does select.

    Attributes:
        part: The name of the part.
        place_px: Where, image pixels.
        overlaps: Of each size, from the smallest to the whole picture.
        usual: The size that the click means.
        image: ``H x W x 3`` uint8, the picture.
        masks: Its masks at the usual size, two sizes larger and two smaller.
    """

    part: str
    place_px: tuple[float, float]
    overlaps: FloatArray
    usual: int
    image: ByteArray
    masks: list[BoolArray]


class _Truth:
    """Where Suzanne's parts are seen."""

    def __init__(self) -> None:
        self._scene = SuzanneScene(size_px=_SIZE_PX, samples=1)

    def show(self, values: NDArray[np.float64]) -> dict[tuple[str, str], BoolArray]:
        """Return the area of each part and side, ``H x W`` bool, for factors."""
        self._scene.apply(values)
        graph = bpy.context.evaluated_depsgraph_get()
        weights = self._weights(graph)
        seen = self._polygons(graph)
        return {key: (seen >= 0) & inside[np.maximum(seen, 0)] for key, inside in weights.items()}

    def landmark(self, name: str) -> tuple[float, float] | None:
        """Return where a landmark is seen, image pixels; None if it is hidden."""
        places, visible = self._scene.places([LANDMARKS[name]])
        return (float(places[0, 0]), float(places[0, 1])) if visible[0] else None

    def _weights(self, graph: Any) -> dict[tuple[str, str], BoolArray]:
        """Return for each part and side which polygons of the evaluated mesh belong to it."""
        head = next(item for item in bpy.data.objects if item.type == "MESH").evaluated_get(graph)
        mesh = head.to_mesh()
        rest = np.empty(len(mesh.vertices) * 3, dtype=np.float32)
        attribute: Any = mesh.attributes["rest"]
        attribute.data.foreach_get("vector", rest)
        now = np.empty_like(rest)
        mesh.vertices.foreach_get("co", now)
        corners = [list(polygon.vertices) for polygon in mesh.polygons]
        head.to_mesh_clear()
        # The rest places are mirrored to x >= 0; the side is that of the present place.
        middles = np.array([rest.reshape(-1, 3)[found].mean(axis=0) for found in corners])
        sides = np.array([now.reshape(-1, 3)[found, 0].mean() for found in corners])
        found = {}
        for part in _PARTS:
            inside = parts.weights(part, middles.astype(np.float64), 1) > 0.5
            for name, side in _SIDES.items() if part in _PAIRED else [("", 0)]:
                found[part, name] = inside & (sides * side >= 0)
        return found

    def _polygons(self, graph: Any) -> NDArray[np.int64]:
        """Return the polygon that is seen in each pixel, -1 for the background."""
        camera: Any = bpy.context.scene.camera
        eye, reach = camera.matrix_world.translation, math.tan(camera.data.angle / 2.0)
        line = ((np.arange(_SIZE_PX) + 0.5) / _SIZE_PX * 2.0 - 1.0) * reach
        seen = np.full((_SIZE_PX, _SIZE_PX), -1)
        for row, column in np.ndindex(seen.shape):
            way = Vector((line[column], 1.0, -line[row])).normalized()
            hit, _, _, polygon, *_ = bpy.context.scene.ray_cast(graph, eye, way)
            if hit:
                seen[row, column] = polygon
        return seen


def _innermost(area: BoolArray) -> tuple[float, float]:
    """Return a place in the middle of an area, image pixels."""
    core = area
    while True:
        padded = np.pad(core, 1)
        smaller = core & padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
        if not smaller.any():
            break
        core = smaller
    y, x = np.nonzero(core)
    nearest = ((x - x.mean()) ** 2 + (y - y.mean()) ** 2).argmin()
    return float(x[nearest]) + 0.5, float(y[nearest]) + 0.5


def _clicks(generator: Generator, seed: int, truth: _Truth, factors: FactorMap) -> list[Click]:
    latent = sample_latent(generator, seed, _TRUNCATION)
    values = factors.factors(torch.from_numpy(latent[0])).numpy().astype(np.float64)
    found = find_parts(generator, torch.from_numpy(latent))
    tree = PartTree(found.shape, found.parents, found.heights)
    image = render_image(generator, latent)
    clicks = []
    for (part, side), area in truth.show(values).items():
        if area.sum() < _LEAST_PX.get(part, _USUAL_LEAST_PX):
            continue
        places = [_innermost(area)]
        if part in _LANDMARKS:
            seen = truth.landmark(_LANDMARKS[part].format(side))
            if seen is not None and area[int(seen[1]), int(seen[0])]:
                places.append(seen)
        clicks += [_click(tree, part, area, place, image) for place in places]
    return clicks


def _click(
    tree: PartTree, part: str, area: BoolArray, place: tuple[float, float], image: ByteArray
) -> Click:
    nodes, usual = tree.sizes_at((place[0] / _SIZE_PX, 1.0 - place[1] / _SIZE_PX))
    masks = [tree.mask(node, _SIZE_PX, _SIZE_PX)[::-1] > 0.5 for node in nodes]
    overlaps = np.array([(mask & area).sum() / (mask | area).sum() for mask in masks])
    shown = [masks[min(max(usual + step, 0), len(masks) - 1)] for step in (0, 2, -2)]
    return Click(part, place, overlaps.astype(np.float32), usual, image, shown)


def table(clicks: list[Click]) -> str:
    """Return the figures of clicks as a table in Markdown."""
    lines = [
        "| part | clicks | the click | within one notch | best size | over one half |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for part in _PARTS:
        own = [click for click in clicks if click.part == part]
        usual = [float(click.overlaps[click.usual]) for click in own]
        near = [
            float(click.overlaps[max(click.usual - 1, 0) : click.usual + 2].max()) for click in own
        ]
        best = [float(click.overlaps.max()) for click in own]
        half = 100 * np.mean([value > 0.5 for value in usual])
        means = " | ".join(f"{np.mean(values):.2f}" for values in (usual, near, best))
        lines.append(f"| {part} | {len(own)} | {means} | {half:.0f} % |")
    return "\n".join(lines)


def sheet(clicks: list[Click]) -> Image.Image:
    """Return a row for each click: the picture with the click, its part, grown, and shrunk."""
    side = 2 * _SIZE_PX
    page = Image.new("RGB", (4 * side, side * len(clicks)))
    for row, click in enumerate(clicks):
        start = Image.fromarray(click.image).resize((side, side), Image.Resampling.BICUBIC)
        x, y = (2.0 * value for value in click.place_px)
        ImageDraw.Draw(start).ellipse([x - 4, y - 4, x + 4, y + 4], fill="red", outline="white")
        page.paste(start, (0, row * side))
        for column, mask in enumerate(click.masks, start=1):
            dark = np.where(mask[:, :, None], click.image, click.image // 5)
            cell = Image.fromarray(dark.astype(np.uint8)).resize(
                (side, side), Image.Resampling.BICUBIC
            )
            page.paste(cell, (column * side, row * side))
    return page


def main() -> None:
    """Print the tables, and write a picture of one click on each part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the picture")
    options = parser.parse_args()
    path = builtin_model_path("suzanne")
    assert path is not None
    generator = load_generator(path)
    truth, factors = _Truth(), FactorMap(generator)
    for name, seeds in (("choosing", _CHOOSING), ("test", _TEST)):
        found = [_clicks(generator, seed, truth, factors) for seed in seeds]
        clicks = [click for some in found for click in some]
        print(f"{name}\n\n{table(clicks)}\n", flush=True)
    chosen = [
        next(click for click in found[number] if click.part == part)
        for number, part in enumerate(_PARTS)
    ]
    sheet(chosen).save(options.out, quality=85)


if __name__ == "__main__":
    main()
