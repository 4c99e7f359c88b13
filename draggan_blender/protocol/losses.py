# SPDX-License-Identifier: GPL-3.0-or-later
"""The losses by which a picture and the model's image of it are compared: the one table of them.

The message, Blender's property, both command lines and the engine use it.
"""

from __future__ import annotations

from .settings import Choice

PIXELS = "pixels"
DISCRIMINATOR = "discriminator"
IMAGENET = "imagenet"
VGG = "vgg"

# Blender stores the position in this list: never reorder.
LOSSES: tuple[Choice, ...] = (
    Choice(
        value=PIXELS,
        label="Pixels",
        description="Values and structure (SSIM) at several sizes; not trained on anything, so it "
        "suits renders, drawings and photographs alike",
    ),
    Choice(
        value=DISCRIMINATOR,
        label="Discriminator",
        description="Also the features of the model's own discriminator, which its training has "
        "left in .pkl files; or of the one in another checkpoint",
    ),
    Choice(
        value=IMAGENET,
        label="ImageNet",
        description="Also the features of a small network that was trained on photographs "
        "(EfficientNet-Lite0, an optional installation)",
    ),
    Choice(
        value=VGG,
        label="VGG or LPIPS",
        description="Also the features of VGG16, weighted as LPIPS if the file has its weights; "
        "trained on photographs, from a file of yours",
    ),
)
LOSS_NAMES: tuple[str, ...] = tuple(choice.value for choice in LOSSES)
