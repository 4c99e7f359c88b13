# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the picture of *Blend Back*: ``python -m tools.own_picture --out OUT.jpg``.

A render of 512 px is inverted, the head is turned by a drag of the nose, and that is blended back.
Shown are the render, the model's image after the drag, the result, and its matte. The command needs
Blender as a module (``bpy``), unless the renders of ``tools.bench blend`` exist already.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from engine.inversion.alignment import Alignment
from engine.inversion.edits import blended
from engine.inversion.solve import InversionOptions, invert
from engine.output.render import render_image
from engine.pictures import Picture
from engine.solving.drag import drag
from engine.solving.options import DragOptions
from stylegan2 import load_generator
from stylegan2.models import builtin_model_path
from tools.bench.blend import cases
from tools.bench.landmarks import LANDMARKS, Detector

# The render, and how far the nose is dragged, pixels of the model.
_CASE, _WAY_PX = 7, (8.0, 3.0)
# What is shown of each picture, pixels of 512.
_SHOWN = (80, 60, 450, 430)


def main() -> int:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the picture to write")
    parser.add_argument("--data", type=Path, default=Path("dist/blend"), help="the renders")
    options = parser.parse_args()
    path = builtin_model_path("suzanne")
    assert path is not None
    generator = load_generator(path)
    case = next(islice(cases(options.data, generator), _CASE, None))
    side = case.before.shape[0]
    frame = Alignment.whole(side, side)
    found = invert(generator, case.before, frame, InversionOptions(align=False))
    image = render_image(generator, found.latent)
    nose = [LANDMARKS.index("nose")]
    handles = Detector.load().detect(image[None]).points_px[0, nose].astype(np.float32)
    targets = handles + np.array(_WAY_PX, np.float32)
    result = drag(generator, found.latent, handles, targets, DragOptions())
    latent = result.latents[-1]
    (one,) = blended(generator, case.before, frame, found.latent, [Picture(latent)])
    small = Image.fromarray(render_image(generator, latent))
    large = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))
    grey = np.repeat(one.matte[..., None], 3, axis=2)
    cells = [Image.fromarray(each).crop(_SHOWN) for each in (case.before, large, one.image, grey)]
    page = Image.fromarray(np.hstack([np.asarray(cell) for cell in cells]))
    print(f"{found.error:.2%}, {result.status.value}, {result.steps} steps")
    page.save(options.out, quality=88)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
