# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains and measures the landmark detector: ``python -m tools.bench.train_landmarks --data DIR``.

``DIR`` contains the renders of ``tools.suzanne.render``. Training takes about ten minutes on one
CPU thread. The detector is measured on the held-out renders, and on the built-in model's images of
the *same* factors: the model's W is linear in the factors, so the latent of a held-out picture is
known, and so are the positions that the landmarks of the generated image should have. The model's
own errors count as errors of the detector there, so these figures are an upper bound.

``--measure`` does not change the weights and only measures again, for instance after a new model.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from draggan_blender.protocol.atomic_files import replacing
from engine.output.render import render_frames
from stylegan2 import load_generator, sha256_of
from tools.suzanne.truth import truth_of

from .landmarks import COLOURS, LANDMARKS, WEIGHTS, Detector, LandmarkNet, Prediction
from .models import BUILT_IN, MODELS, model_file
from .renders import Renders, load_renders, vary

BATCH_SIZE = 32
LEARNING_RATE = 3e-3
# Weight of the position of a landmark that the camera does not see; others have the weight 1.
HIDDEN_WEIGHT = 0.2
# The likelihood's gradient grows as positions become certain, and would exceed that of the colours
# by far without this weight.
COLOUR_WEIGHT = 20.0

_LOG = logging.getLogger(__name__)


def detector_loss(seen: Prediction, points_px: Tensor, truth: Renders) -> Tensor:
    """Return the negative log likelihood of positions and visibility plus the colours' error.

    The error ``r`` of a position has the isotropic Laplace distribution ``exp(-r / b) / (2 pi
    b^2)`` with the ``b`` that the network predicts (Kendall and Gal, "What Uncertainties Do We Need
    in Bayesian Deep Learning for Computer Vision?", 2017, section 3.1, in two dimensions).

    Args:
        seen: The prediction for ``B`` pictures.
        points_px: ``B x L x 2`` float32, the true positions in these pictures.
        truth: Visibility and colours of the pictures.

    Returns:
        A scalar, mean over the pictures.
    """
    distance = ((seen.points_px - points_px).square().sum(2) + 1e-6).sqrt()
    unlikely = distance * (-seen.log_scale).exp() + 2.0 * seen.log_scale
    weight = HIDDEN_WEIGHT + (1.0 - HIDDEN_WEIGHT) * truth.visible
    hidden = F.binary_cross_entropy_with_logits(seen.visible, truth.visible)
    colours = (seen.colours - truth.colours).square().mean()
    return (weight * unlikely).mean() + 0.5 * hidden + COLOUR_WEIGHT * colours


def train(renders: Renders, pictures: int, *, fast: bool) -> LandmarkNet:
    """Return a trained network.

    The learning rate has one cycle: a linear warm-up in the first tenth, limited by a cosine that
    falls over the whole training.

    Args:
        renders: The pictures for training.
        pictures: Number of varied pictures to train on.
        fast: Whether convolutions are computed in bfloat16.
    """
    network = LandmarkNet()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-3)
    steps = max(1, pictures // BATCH_SIZE)
    random = torch.Generator().manual_seed(0)
    reported, total = time.monotonic(), 0.0
    for step in range(steps):
        progress = step / steps
        rate = min(progress * 10.0, 0.5 + 0.5 * math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * rate + 1e-6
        batch = renders[torch.randint(len(renders), (BATCH_SIZE,), generator=random)]
        images, points = vary(batch, random)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast):
            seen = network(images.contiguous(memory_format=torch.channels_last))
        loss = detector_loss(seen, points, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        total += loss.item()
        if (step + 1) % 100 == 0:
            now = time.monotonic()
            speed = 100 * BATCH_SIZE / (now - reported)
            _LOG.info(
                "step %d of %d: loss %.3f, %.0f pictures per second",
                step + 1,
                steps,
                total / 100,
                speed,
            )
            reported, total = now, 0.0
    return network


def measure(detector: Detector, images: Tensor, truth: Renders) -> dict[str, Any]:
    """Return the detector's errors on images with known ground truth.

    Args:
        detector: The detector.
        images: ``N x S x S x 3`` uint8.
        truth: Their ground truth; its pictures may have another size.

    Returns:
        ``pictures``: ``N``. In pixels of the detector's size, over the landmarks that the camera
        sees: ``mean_px``, ``median_px`` and ``p95_px`` of the errors, the mean error of each
        landmark by its name, and ``expected_px``, the mean of the expected errors. ``visibility``:
        share of correct answers; ``colours_rms``: root mean square error of the colours.
    """
    found = detector.detect(images.numpy())
    # The images have another size than the renders if the model has.
    scale = detector.size_px / images.shape[1]
    wanted = truth.points_px * (images.shape[1] / truth.size_px)
    distance = (torch.from_numpy(found.points_px) - wanted).norm(dim=2)
    seen = truth.visible > 0.5
    errors = distance[seen] * scale
    right = (torch.from_numpy(found.visible) > 0.5) == seen
    each = (distance * truth.visible).sum(0) / truth.visible.sum(0).clamp(min=1.0) * scale
    colours = (torch.from_numpy(found.colours) - truth.colours).square().mean().sqrt()
    figures = {
        "mean_px": float(errors.mean()),
        "median_px": float(errors.median()),
        "p95_px": float(errors.quantile(0.95)),
        "expected_px": float(torch.from_numpy(found.error_px)[seen].mean()) * scale,
        "visibility": float(right.float().mean()),
        "colours_rms": float(colours),
        **dict(zip(LANDMARKS, each.tolist(), strict=True)),
    }
    return {"pictures": len(images)} | {key: round(value, 3) for key, value in figures.items()}


def measure_all(detector: Detector, held_out: Renders, model: str) -> dict[str, Any]:
    """Measure on held-out renders and on a model's images of their factors.

    Args:
        detector: The detector.
        held_out: The renders.
        model: One of ``models.MODELS``, or a file.

    Returns:
        ``held_out`` and ``generated``, each as ``measure`` returns it; the second is missing if the
        model has no map from factors to latents.
    """
    figures: dict[str, Any] = {
        "held_out": measure(detector, held_out.images.permute(0, 2, 3, 1), held_out)
    }
    path = model_file(model)
    generator = load_generator(path)
    truth = truth_of(generator)
    if truth is None:
        _LOG.warning("not measured on the images of %s: its W is not made of the factors", model)
        return figures
    latents = truth.latents(held_out.factors)
    images = torch.stack([torch.from_numpy(i) for i in render_frames(generator, latents.numpy())])
    figures["generated"] = measure(detector, images, held_out)
    figures["generated"]["model_sha256"] = sha256_of(path)
    return figures


def save(network: LandmarkNet, size_px: int, figures: Mapping[str, Any], path: Path) -> None:
    """Write a detector's file in half precision; no process ever sees a partial file.

    Args:
        network: The network.
        size_px: Width and height of the pictures that it was trained on.
        figures: What ``Detector.figures`` will be; must be valid JSON.
        path: The file.

    Raises:
        OSError: The file cannot be written.
    """
    tensors = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in network.state_dict().items()
    }
    metadata = {
        "landmarks": ",".join(LANDMARKS),
        "colours": ",".join(COLOURS),
        "size_px": str(size_px),
        "figures": json.dumps(figures),
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata)


def main() -> None:
    """Train and measure, or only measure, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the rendered shards")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="the detector's file")
    parser.add_argument(
        "--model", default=BUILT_IN, help=f"{', '.join(MODELS)}, or a file to measure it on"
    )
    parser.add_argument("--pictures", type=int, default=48_000, help="varied pictures to train on")
    parser.add_argument("--held-out", type=int, default=500, help="pictures to measure on")
    parser.add_argument("--measure", action="store_true", help="do not train, only measure again")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 convolutions")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    renders, held_out = load_renders(options.data, options.held_out)
    training: dict[str, Any] = {}
    if options.measure:
        old = Detector.load(options.out)
        training = {key: old.figures[key] for key in ("date", "training_renders", "pictures_seen")}
    else:
        _LOG.info("%d pictures, %d held out", len(renders), len(held_out))
        network = train(renders, options.pictures, fast=not options.float32)
        training["date"] = datetime.now(tz=UTC).date().isoformat()
        training["training_renders"] = len(renders)
        training["pictures_seen"] = options.pictures
        save(network, renders.size_px, training, options.out)
    # Measure the written file, which has half precision.
    detector = Detector.load(options.out)
    figures = training | measure_all(detector, held_out, options.model)
    save(detector.network, detector.size_px, figures, options.out)
    _LOG.info("%s", json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
