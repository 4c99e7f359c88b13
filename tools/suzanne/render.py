# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the training pictures: `python -m tools.suzanne.render --out DIR --count N --seed S`.

Pictures are written in shards of a few hundred, each one `.npz` (never a pickle) that holds the
pictures, their factors and the landmarks' places.  A shard appears under its name only when it is
complete, so that the command can be stopped and started again, and several of them (with different
seeds) can fill one folder.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tools.suzanne import factors
from tools.suzanne.scene import LANDMARKS, SuzanneScene

SHARD_SIZE = 250

log = logging.getLogger("suzanne.render")


def render_shard(scene: SuzanneScene, seed: int, first: int, count: int, path: Path) -> None:
    """Render pictures `first` … `first + count - 1` of the set `seed` into the file `path`."""
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
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.savez_compressed(
            stream,
            images=np.stack(images),
            factors=np.stack(values).astype(np.float32),
            factor_names=np.array(factors.FACTORS),
            landmarks_px=np.stack(places),
            landmarks_visible=np.stack(seen),
            landmark_names=np.array(list(LANDMARKS)),
        )
    os.replace(partial, path)


def main() -> None:
    """Command line: render the shards that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--count", type=int, required=True, help="pictures of this seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, help="width and height in pixels")
    parser.add_argument("--samples", type=int, default=8, help="rays a pixel")
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
        log.info("%s: %.1f pictures a second", path.name, count / (time.monotonic() - started))


if __name__ == "__main__":
    main()
