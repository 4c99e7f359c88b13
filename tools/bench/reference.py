# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's method, literally, as the row to compare with; no part of the product.

Pan et al., "Drag Your GAN: Interactive Point-based Manipulation on the Generative Image Manifold"
(SIGGRAPH 2023), sections 3.2 and 3.3, with the settings of section 4: W+, the first six latents,
Adam with 2e-3, r1 = 3, r2 = 12, lambda = 20, the whole network in every step, features resized to
the image, whole-pixel handles, full-size distance maps, a whole pixel in every step.  Where the
paper leaves something open, this is as in the authors' program: distances of features are L2 in
tracking, losses are means over pixels and channels, a handle nearer than a pixel is not pushed, and
the mask's term is a mean over all pixels.

How the network is computed changes its speed, not its values, so that is a parameter: `Network`.

Space: *whole pixels* are indices (x, y) into the image, so a position in image pixels, whose pixel
centres are at half-integers, has the index `floor(position)`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.arrays import ByteArray, FloatArray
from engine.features.source import feature_block
from engine.solving.methods.adam import Adam
from stylegan2 import Generator

Network = Callable[[Generator, Tensor], tuple[Tensor, Tensor]]
"""Runs a generator to its last block, colours included: from ws `N x num_ws x w_dim` to the image
`N x img_channels x H x W` and the features `N x C x h x w` of the block that a drag reads."""

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


def scaled_activations(generator: Generator, ws: Tensor) -> tuple[Tensor, Tensor]:
    """The `Network` as the rest of the project computes it."""
    state = generator.synthesis_to(ws, generator.resolutions[-1])
    features = state.features[generator.resolutions.index(feature_block(generator))]
    return generator.rgb(state, ws), features


def drag_literally(
    generator: Generator,
    latent: FloatArray,
    handles_px: FloatArray,
    targets_px: FloatArray,
    options: ReferenceOptions,
    *,
    mask: ByteArray | None = None,
    network: Network = scaled_activations,
    should_stop: Callable[[], bool] | None = None,
) -> ReferenceResult:
    """Drag points of an image as the paper says.

    Args:
        generator: on the device to compute on.
        latent: `num_ws x w_dim` float32.
        handles_px: `P x 2` float, image pixels.
        targets_px: the same.
        mask: `H x W` uint8, 255 = may change; None for no limits.
        network: how the generator is computed.
        should_stop: asked whenever the handles have been found, first at the start; True ends the
            drag where it is.
    """
    started = time.perf_counter()
    device = generator.synthesis.taps.device
    start = torch.from_numpy(latent).to(device)
    handles = torch.from_numpy(np.floor(handles_px)).long()
    targets = torch.from_numpy(np.asarray(targets_px, dtype=np.float32)) - 0.5
    many = len(handles) > MANY_POINTS
    tolerance_px = options.tolerance_many_px if many else options.tolerance_px
    free = start[: options.num_layers].clone().requires_grad_()
    adam = Adam(free, options.step_size)
    with torch.no_grad():
        _, first = image_and_features(generator, start[None], network)
    references = first[0, :, handles[:, 1], handles[:, 0]].t()
    fixed = None if mask is None else 1.0 - torch.from_numpy(mask).to(device).float() / 255.0
    step = 0
    while True:
        ws = torch.cat([free, start[options.num_layers :]])[None]
        image, features = image_and_features(generator, ws, network)
        if step:
            handles = track(features.detach()[0], handles, references, options.r2)
        reached = bool(((targets - handles).norm(dim=1) <= tolerance_px).all())
        if reached or step == options.max_steps or (should_stop is not None and should_stop()):
            break
        loss = motion_loss(features, handles, targets, options.r1)
        if fixed is not None:
            loss = loss + options.mask_weight * F.l1_loss(features * fixed, first * fixed)
        loss.backward()
        adam.step()
        step += 1
        # The next step's maps are made when this one's are gone, as in the authors' program, which
        # shows the image after each step and therefore holds it until here.
        del image, features, loss
    return ReferenceResult(
        latent=ws[0].detach().cpu().numpy(),
        handles_px=handles.numpy().astype(np.float32) + 0.5,
        reached=reached,
        steps=step,
        seconds=time.perf_counter() - started,
    )


def image_and_features(
    generator: Generator, ws: Tensor, network: Network = scaled_activations
) -> tuple[Tensor, Tensor]:
    """Run the whole network; the 128 px block's features are resized to the image.

    Returns:
        The image `1 x img_channels x H x W`, and the features `1 x C x H x W`; float32 with
        gradient to `ws`.  Features are the last block's in a smaller model.
    """
    image, features = network(generator, ws)
    size = generator.img_shape[1:]
    return image, F.interpolate(features, size=size, mode="bilinear", align_corners=False)


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
    device = features.device
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    size = torch.tensor([width - 1, height - 1], device=device)
    loss = torch.zeros((), device=device)
    for handle, target in zip(handles, targets, strict=True):
        way = target - handle
        if way.norm() <= 1.0:
            continue
        distance = ((columns - handle[0]) ** 2 + (rows - handle[1]) ** 2).sqrt()
        y, x = torch.nonzero(distance < r1, as_tuple=True)
        there = torch.stack([x, y], dim=1) + (way / way.norm()).to(device)
        grid = (there / size * 2.0 - 1.0)[None, None]
        moved = F.grid_sample(features, grid, align_corners=True)[0, :, 0]
        loss = loss + F.l1_loss(moved, features[0, :, y, x].detach())
    return loss
