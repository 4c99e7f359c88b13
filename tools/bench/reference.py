# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's method, implemented literally for comparison; it is not part of the extension.

Pan et al., "Drag Your GAN: Interactive Point-based Manipulation on the Generative Image Manifold"
(SIGGRAPH 2023), sections 3.2 and 3.3, with the settings of section 4: W+, the first six latents,
Adam with 2e-3, r1 = 3, r2 = 12, lambda = 20, the whole network in every step, features resized to
the image, whole-pixel handles, full-size distance maps, a shift of one whole pixel in every step.
Where the paper leaves something open, this follows the authors' program: tracking compares features
by L2, losses are means over pixels and channels, a handle within one pixel of its target is not
moved, and the mask's term is a mean over all pixels.

The way in which the network is computed changes its speed but not its values, so it is a parameter:
``Network``.

Space: *whole pixels* are indices (x, y) into the image. A position in image pixels, whose pixel
centres are at half-integers, has the index ``floor(position)``.
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

# Runs a generator to its last block, colours included: from ws ``N x num_ws x w_dim`` to the image
# ``N x img_channels x H x W`` and the features ``N x C x h x w`` of the block that a drag reads.
Network = Callable[[Generator, Tensor], tuple[Tensor, Tensor]]

# With more points than this, the tolerance is ``tolerance_many_px``.
MANY_POINTS = 5


@dataclass(frozen=True, kw_only=True)
class ReferenceOptions:
    """The paper's settings.

    Attributes:
        r1: Radius of the disc around a handle, image pixels; pixels exactly on its edge do not
            belong to it.
        r2: A handle is searched at distances below this in x and in y, image pixels.
        step_size: Adam's learning rate.
        num_layers: The number of first latents that may change.
        mask_weight: Weight of the mask's term, the paper's lambda.
        tolerance_px: The drag ends when all handles are within this distance of their targets,
            image pixels.
        tolerance_many_px: The same for more than ``MANY_POINTS`` points.
        max_steps: The drag ends after this many steps.
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
    """The end of a drag.

    Attributes:
        latent: ``num_ws x w_dim`` float32, after the last step.
        handles_px: ``P x 2`` float32 (x, y), image pixels, as tracked.
        reached: Whether all handles are within the tolerance.
        steps: Number of changes of the latent.
        seconds: Duration of the whole drag.
    """

    latent: FloatArray
    handles_px: FloatArray
    reached: bool
    steps: int
    seconds: float


def scaled_activations(generator: Generator, ws: Tensor) -> tuple[Tensor, Tensor]:
    """Run the network as the rest of the project does, by scaled activations; a ``Network``."""
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
    """Drag points of an image by the paper's method.

    Args:
        generator: On the device to compute on.
        latent: ``num_ws x w_dim`` float32, the start.
        handles_px: ``P x 2`` float (x, y), image pixels.
        targets_px: The same.
        options: The settings.
        mask: ``H x W`` uint8, 255 = may change; None for no mask.
        network: The way in which the generator is computed.
        should_stop: Is called at the start and after each point tracking; the drag ends if it
            returns True.
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
        # These maps are freed before those of the next step are made. The authors' program shows
        # the image after each step and therefore also keeps it until here.
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
    """Run the whole network and resize the features of the 128 px block to the image.

    A model smaller than 128 px gives the features of its last block.

    Args:
        generator: The model.
        ws: ``1 x num_ws x w_dim`` float32.
        network: The way in which the generator is computed.

    Returns:
        The image ``1 x img_channels x H x W``, and the features ``1 x C x H x W``; float32 with
        gradient to ``ws``.
    """
    image, features = network(generator, ws)
    size = generator.img_shape[1:]
    return image, F.interpolate(features, size=size, mode="bilinear", align_corners=False)


def track(features: Tensor, handles: Tensor, references: Tensor, r2: float) -> Tensor:
    """Return for each handle the pixel around it whose feature is nearest to the initial one.

    Args:
        features: ``C x H x W`` float32.
        handles: ``P x 2`` int64 (x, y), whole pixels.
        references: ``P x C`` float32, the features at the handles in the start image.
        r2: The candidates are the pixels inside the image with |dx| < r2 and |dy| < r2.

    Returns:
        ``P x 2`` int64 (x, y), whole pixels: the smallest L2 distance, and of several equal ones
        the first in reading order.
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
    """Return the loss of motion supervision: the paper's equation 1 without the mask's term.

    It is the mean over disc and channels, summed over the handles.

    Args:
        features: ``1 x C x H x W`` float32.
        handles: ``P x 2`` int64 (x, y), whole pixels.
        targets: ``P x 2`` float32 (x, y), in the space of whole pixels.
        r1: Radius of the disc in pixels; pixels exactly on its edge do not belong to it.

    Returns:
        A scalar; 0 if every handle is within a pixel of its target.
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
