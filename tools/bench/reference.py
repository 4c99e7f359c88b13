# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's method, literally, as the row to compare with; no part of the product.

Pan et al., "Drag Your GAN: Interactive Point-based Manipulation on the Generative Image Manifold"
(SIGGRAPH 2023), sections 3.2 and 3.3, with the settings of section 4: W+, the first six latents,
Adam with 2e-3, r1 = 3, r2 = 12, lambda = 20, the whole network in every step, features resized to
the image, whole-pixel handles, full-size distance maps, a whole pixel in every step.  Where the
paper leaves something open, this is as in the authors' program: distances of features are L2 in
tracking, losses are means over pixels and channels, a handle nearer than a pixel is not pushed, and
the mask's term is a mean over all pixels.

Space: *whole pixels* are indices (x, y) into the image, so a position in image pixels, whose pixel
centres are at half-integers, has the index `floor(position)`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.adam import Adam
from engine.arrays import ByteArray, FloatArray
from engine.feature_source import feature_block
from stylegan2 import Generator

MANY_POINTS = 5
"""From more points than this on, the tolerance is `tolerance_many_px`."""


@dataclass(frozen=True, kw_only=True)
class ReferenceOptions:
    """The paper's settings.

    Attributes:
        r1: radius in image pixels of the disc around a handle; its edge does not belong to it.
        r2: a handle is searched for less than this many image pixels away in x and in y.
        step_size: Adam's learning rate.
        num_layers: how many of the first latents may change.
        mask_weight: lambda.
        tolerance_px: stop if all handles are this near to their targets, image pixels.
        tolerance_many_px: the same for more than `MANY_POINTS` points.
        max_steps: give up after so many.
    """

    r1: float = 3.0
    r2: float = 12.0
    step_size: float = 2e-3
    num_layers: int = 6
    mask_weight: float = 20.0
    tolerance_px: float = 1.0
    tolerance_many_px: float = 2.0
    max_steps: int = 300


@dataclass(frozen=True)
class ReferenceResult:
    """Where the loop has ended.

    Attributes:
        latent: `num_ws x w_dim` float32, of the last step.
        handles_px: `P x 2` float32, image pixels, as tracked.
        reached: whether all handles are within the tolerance.
        steps: how many times the latent was changed.
        seconds: of the whole loop.
    """

    latent: FloatArray
    handles_px: FloatArray
    reached: bool
    steps: int
    seconds: float


def drag_literally(
    generator: Generator,
    latent: FloatArray,
    handles_px: FloatArray,
    targets_px: FloatArray,
    options: ReferenceOptions,
    *,
    mask: ByteArray | None = None,
) -> ReferenceResult:
    """Drag points of an image as the paper says.

    Args:
        latent: `num_ws x w_dim` float32.
        handles_px: `P x 2` float, image pixels.
        targets_px: the same.
        mask: `H x W` uint8, 255 = may change; None for no limits.
    """
    started = time.perf_counter()
    start = torch.from_numpy(latent)
    handles = torch.from_numpy(np.floor(handles_px)).long()
    targets = torch.from_numpy(np.asarray(targets_px, dtype=np.float32)) - 0.5
    many = len(handles) > MANY_POINTS
    tolerance_px = options.tolerance_many_px if many else options.tolerance_px
    free = start[: options.num_layers].clone().requires_grad_()
    adam = Adam(free, options.step_size)
    first = resized_features(generator, start[None]).detach()
    references = first[0, :, handles[:, 1], handles[:, 0]].t()
    fixed = None if mask is None else 1.0 - torch.from_numpy(mask).float() / 255.0
    step = 0
    while True:
        ws = torch.cat([free, start[options.num_layers :]])[None]
        features = resized_features(generator, ws)
        if step:
            handles = track(features.detach()[0], handles, references, options.r2)
        reached = bool(((targets - handles).norm(dim=1) <= tolerance_px).all())
        if reached or step == options.max_steps:
            break
        loss = motion_loss(features, handles, targets, options.r1)
        if fixed is not None:
            loss = loss + options.mask_weight * F.l1_loss(features * fixed, first * fixed)
        loss.backward()
        adam.step()
        step += 1
    return ReferenceResult(
        latent=ws[0].detach().numpy(),
        handles_px=handles.numpy().astype(np.float32) + 0.5,
        reached=reached,
        steps=step,
        seconds=time.perf_counter() - started,
    )


def resized_features(generator: Generator, ws: Tensor) -> Tensor:
    """Run the whole network, colours included; the 128 px block's features at the image's size.

    Returns:
        `1 x C x H x W` float32 with gradient to `ws`.  The last block's in a smaller model.
    """
    state = generator.synthesis_to(ws, generator.resolutions[-1])
    generator.rgb(state, ws)
    features = state.features[generator.resolutions.index(feature_block(generator))]
    size = generator.img_shape[1:]
    return F.interpolate(features, size=size, mode="bilinear", align_corners=False)


def track(features: Tensor, handles: Tensor, references: Tensor, r2: float) -> Tensor:
    """The whole pixel near each handle whose feature is nearest, in L2, to the initial one.

    Args:
        features: `C x H x W` float32.
        handles: `P x 2` int64 (x, y), whole pixels.
        references: `P x C` float32.
        r2: candidates are those with |dx| < r2 and |dy| < r2, inside the image.

    Returns:
        `P x 2` int64; of equally near features the first in reading order.
    """
    height, width = features.shape[1:]
    reach = int(np.ceil(r2)) - 1
    found = []
    for (x, y), reference in zip(handles.tolist(), references, strict=True):
        left, right = max(x - reach, 0), min(x + reach + 1, width)
        top, bottom = max(y - reach, 0), min(y + reach + 1, height)
        patch = features[:, top:bottom, left:right]
        index = int((patch - reference[:, None, None]).norm(dim=0).argmin())
        found.append((left + index % (right - left), top + index // (right - left)))
    return torch.tensor(found)


def motion_loss(features: Tensor, handles: Tensor, targets: Tensor, r1: float) -> Tensor:
    """Motion supervision: the mean over the disc and the channels, summed over the handles.

    Args:
        features: `1 x C x H x W` float32.
        handles: `P x 2` int64, whole pixels.
        targets: `P x 2` float32 in whole pixels' space.
        r1: the disc's radius, its edge not included.

    Returns:
        A scalar; zero if every handle is within a pixel of its target.
    """
    height, width = features.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    size = torch.tensor([width - 1, height - 1])
    loss = torch.zeros(())
    for handle, target in zip(handles, targets, strict=True):
        way = target - handle
        if way.norm() <= 1.0:
            continue
        distance = ((columns - handle[0]) ** 2 + (rows - handle[1]) ** 2).sqrt()
        y, x = torch.nonzero(distance < r1, as_tuple=True)
        there = torch.stack([x, y], dim=1) + way / way.norm()
        grid = (there / size * 2.0 - 1.0)[None, None]
        moved = F.grid_sample(features, grid, align_corners=True)[0, :, 0]
        loss = loss + F.l1_loss(moved, features[0, :, y, x].detach())
    return loss
