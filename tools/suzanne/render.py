# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the training pictures: ``python -m tools.suzanne.render --out DIR --count N --seed S``.

Pictures are written in shards of ``SHARD_SIZE``, each one an ``.npz`` file without pickles that
contains the pictures, their factors and the landmarks' positions. A shard gets its name only when
it is complete, so the command can be stopped and started again, and several processes with
different seeds can write to one folder.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from draggan_blender.protocol.atomic_files import replacing
from tools.suzanne import factors
from tools.suzanne.scene import LANDMARKS, SuzanneScene

# Pictures per file.
SHARD_SIZE = 250

_LOG = logging.getLogger(__name__)


def render_shard(scene: SuzanneScene, seed: int, first: int, count: int, path: Path) -> None:
    """Render pictures of a set and write them to a shard.

    Args:
        scene: The scene.
        seed: The set, as for ``factors.sample_factors``.
        first: Number of the first picture in the set.
        count: Number of pictures.
        path: The ``.npz`` file; it is replaced if it exists.

    Raises:
        OSError: The file cannot be written.
    """
    images, values, places, seen = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        for index in range(first, first + count):
            values.append(factors.sample_factors(seed, index))
            scene.apply(values[-1])
            scene.render(picture)
            with Image.open(picture) as image:
                images.append(np.asarray(image.convert("RGB")))
            place, visible = scene.landmarks()
            places.append(place)
            seen.append(visible)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            images=np.stack(images),
            factors=np.stack(values).astype(np.float32),
            factor_names=np.array(factors.FACTORS),
            landmarks_px=np.stack(places),
            landmarks_visible=np.stack(seen),
            landmark_names=np.array(list(LANDMARKS)),
        )


def main() -> None:
    """Render the shards that do not exist yet, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--count", type=int, required=True, help="number of pictures of this set")
    parser.add_argument("--seed", type=int, default=0, help="the set of pictures")
    parser.add_argument("--size", type=int, default=128, help="width and height in pixels")
    parser.add_argument("--samples", type=int, default=8, help="rays per pixel")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.out.mkdir(parents=True, exist_ok=True)
    scene = SuzanneScene(size_px=options.size, samples=options.samples)
    for first in range(0, options.count, SHARD_SIZE):
        path = options.out / f"suzanne_{options.size}px_seed{options.seed}_{first:06d}.npz"
        if path.exists():
            continue
        count = min(SHARD_SIZE, options.count - first)
        started = time.monotonic()
        render_shard(scene, options.seed, first, count, path)
        rate = count / (time.monotonic() - started)
        _LOG.info("%s: %.1f pictures per second", path.name, rate)


if __name__ == "__main__":
    main()
