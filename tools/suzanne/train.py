# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the synthesis network: ``python -m tools.suzanne.train --data DIR --out DIR``.

The training is supervised, because every picture's factors are known: the generator makes the image
of given factors, and its difference from the picture is the loss. It is progressive: the skip
architecture has an image at every resolution, so the same network learns first at 16 px, where a
batch costs little and the pose is learned, then at 32, 64 and 128 px. Starting with large pictures
takes several times as long.

The length of a stage is a number of pictures and not a time, so that a busy machine makes the same
model. The command can be stopped at any time and started again: the state is written once a minute.
The network has no noise inputs: a picture is a function of its factors.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2 import Generator, GeneratorConfig
from tools.suzanne.dataset import Batch, Pictures, load_pictures
from tools.suzanne.latents import COARSE_LATENTS, W_DIM, LatentSampler, Sampler
from tools.suzanne.state import FILE_NAME, TrainingState

# Size of the mapping network, whose weights ``distill`` sets.
MAPPING_LAYERS = 3
MAPPING_FEATURES = 192
# Channels of the blocks from 4 to 128 px. The small blocks decide the pose and cost little time.
CHANNELS = (192, 192, 192, 128, 64, 32)
SAVE_INTERVAL_S = 60.0
REPORT_INTERVAL_S = 30.0
# The learning rate at the end of a stage, as a share of that at its beginning.
FINAL_LEARNING_RATE = 0.03

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of the progressive training at one resolution.

    Attributes:
        resolution: Width and height of the pictures, px.
        pictures: Number of pictures to train on.
    """

    resolution: int
    pictures: int

    @property
    def batch_size(self) -> int:
        """Pictures per step; small pictures are cheap, and large batches of them help the pose."""
        return 32 if self.resolution <= 16 else 16 if self.resolution <= 64 else 8


def parse_stage(text: str) -> Stage:
    """Return the stage of a text ``RESOLUTION:PICTURES`` from the command line.

    Raises:
        ValueError: The text does not have this form.
    """
    resolution, pictures = text.split(":")
    return Stage(int(resolution), int(pictures))


DEFAULT_STAGES = [
    Stage(16, 80_000),
    Stage(32, 70_000),
    Stage(64, 25_000),
    Stage(64, 45_000),
    Stage(128, 30_000),
    Stage(128, 30_000),
]


def make_generator() -> Generator:
    """Return a new, untrained generator with the built-in model's sizes, without noise inputs."""
    config = GeneratorConfig(
        img_resolution=4 << (len(CHANNELS) - 1),
        channels=CHANNELS,
        z_dim=W_DIM,
        w_dim=W_DIM,
        num_layers=MAPPING_LAYERS,
        mapping_features=MAPPING_FEATURES,
        use_noise=False,
    )
    return Generator(config)


def image_loss(image: Tensor, wanted: Batch) -> Tensor:
    """Return the weighted L1 of the pictures, of their 4x pooled versions and of their edges.

    Pooling rewards a part that is nearly in place; edges (differences of neighbouring pixels)
    reward a sharp one.

    Args:
        image: ``B x 3 x S x S`` float32, nominally in [-1, 1].
        wanted: The pictures, with the weight of an error in each pixel.

    Returns:
        A scalar float32.
    """
    difference = (image - wanted.images) * wanted.weights
    edges = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
    return difference.abs().mean() + F.avg_pool2d(difference, 4).abs().mean() + edges


def synthesize(generator: Generator, ws: Tensor, resolution: int, fast: bool) -> Tensor:
    """Return the image of latents at a resolution.

    Args:
        generator: The model.
        ws: ``B x num_ws x w_dim`` float32.
        resolution: Resolution of the image, px.
        fast: Whether convolutions are computed in bfloat16; the colours are always float32.

    Returns:
        ``B x 3 x resolution x resolution`` float32, nominally in [-1, 1].
    """
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast):
        state = generator.synthesis_to(ws, resolution, "none")
    return generator.rgb(state, ws)


@torch.no_grad()
def validate(generator: Generator, sampler: Sampler, pictures: Pictures, resolution: int) -> float:
    """Return the mean L1 of images and pictures; all layers get one latent, as from the mapping.

    Pixels are in [-1, 1].

    Args:
        generator: The model.
        sampler: Makes the latents.
        pictures: The pictures to compare with.
        resolution: Resolution to compare at, px.
    """
    total = 0.0
    for indices in torch.arange(len(pictures)).split(50):
        wanted = pictures.batch(indices, resolution)
        ws = sampler.plain(wanted.factors, generator.num_ws)
        image = synthesize(generator, ws, resolution, False)
        total += (image - wanted.images).abs().mean().item() * len(indices)
    return total / len(pictures)


class Trainer:
    """Runs the training and keeps its state: network, optimiser, stage and pictures seen."""

    def __init__(
        self, generator: Generator, sampler: Sampler, *, learning_rate: float, fast: bool
    ) -> None:
        self._generator = generator
        self._sampler = sampler
        self._learning_rate = learning_rate
        self._fast = fast
        self._stage_index = 0
        self._seen = 0
        self._reset_optimizer()

    def _reset_optimizer(self) -> None:
        self._optimizer = torch.optim.Adam(
            self._generator.synthesis.parameters(), lr=self._learning_rate, betas=(0.9, 0.99)
        )

    def resume(self, folder: Path) -> None:
        """Load the state that ``save`` wrote into a folder."""
        state = TrainingState.load(folder)
        self._generator.synthesis.load_state_dict(state.synthesis)
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state.optimizer, "param_groups": groups})
        self._stage_index, self._seen = state.stage_index, state.pictures_seen

    def save(self, folder: Path) -> None:
        """Write the state into a folder."""
        TrainingState(
            synthesis=self._generator.synthesis.state_dict(),
            optimizer=self._optimizer.state_dict()["state"],
            stage_index=self._stage_index,
            pictures_seen=self._seen,
        ).save(folder)

    def run(self, stages: list[Stage], train: Pictures, held_out: Pictures, folder: Path) -> None:
        """Train the remaining stages.

        Args:
            stages: All stages, those already trained included.
            train: The pictures for training.
            held_out: The pictures for validation after each stage.
            folder: Where the state is written.
        """
        while self._stage_index < len(stages):
            stage = stages[self._stage_index]
            self._run_stage(stage, train, folder)
            error = validate(self._generator, self._sampler, held_out, stage.resolution)
            _LOG.info("stage %d px: held-out L1 %.4f", stage.resolution, error)
            self._stage_index += 1
            self._seen = 0
            if self._stage_index < len(stages):
                self._start_stage(stages[self._stage_index], stage.resolution)
            self.save(folder)

    def _start_stage(self, stage: Stage, previous_resolution: int) -> None:
        """Reset the optimiser and, if the resolution grows, the colours of two blocks.

        The colours of the new block start at zero, so that its image starts as that of the block
        below. So do those of the block with the last coarse latent, which is a fine one if the
        network ends at this block, if coarse latents must not control colours.
        """
        self._reset_optimizer()
        if stage.resolution == previous_resolution:
            return
        synthesis = self._generator.synthesis
        config = self._generator.config
        with torch.no_grad():
            synthesis.block(stage.resolution).torgb.weight.zero_()
            if not self._sampler.separates:
                return
            for resolution in config.resolutions[: config.level_of(stage.resolution)]:
                if config.layers_below(resolution) == COARSE_LATENTS - 1:
                    synthesis.block(resolution).torgb.weight.zero_()

    def _run_stage(self, stage: Stage, train: Pictures, folder: Path) -> None:
        last_save = last_report = time.monotonic()
        reported, losses = self._seen, 0.0
        while self._seen < stage.pictures:
            self._set_learning_rate(self._seen / stage.pictures)
            losses += self._step(stage, train) * stage.batch_size
            self._seen += stage.batch_size
            now = time.monotonic()
            if now - last_save > SAVE_INTERVAL_S:
                self.save(folder)
                last_save = now
            if now - last_report > REPORT_INTERVAL_S:
                count = self._seen - reported
                _LOG.info(
                    "%d px, %d pictures: loss %.4f, %.0f pictures per second",
                    stage.resolution,
                    self._seen,
                    losses / count,
                    count / (now - last_report),
                )
                last_report, reported, losses = now, self._seen, 0.0

    def _set_learning_rate(self, progress: float) -> None:
        """Set the learning rate: a cosine from the full rate to ``FINAL_LEARNING_RATE`` of it."""
        wave = 0.5 + 0.5 * math.cos(math.pi * progress)
        share = FINAL_LEARNING_RATE + (1.0 - FINAL_LEARNING_RATE) * wave
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate * share

    def _step(self, stage: Stage, train: Pictures) -> float:
        indices = torch.randint(len(train), (stage.batch_size,))
        wanted = train.batch(indices, stage.resolution)
        num_ws = self._generator.config.layers_below(stage.resolution) + 1
        ws = self._sampler.mixed(wanted.factors, num_ws)
        image = synthesize(self._generator, ws, stage.resolution, self._fast)
        loss = image_loss(image, wanted)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        return loss.item()


def main() -> None:
    """Train, or continue a training, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the rendered shards")
    parser.add_argument("--out", type=Path, required=True, help="folder for the state")
    parser.add_argument(
        "--stages",
        type=parse_stage,
        nargs="+",
        default=DEFAULT_STAGES,
        metavar="PX:PICTURES",
        help="stages, in order; a second one at the same size is a warm restart",
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--learning-rate", type=float, default=8e-3, help="of Adam")
    parser.add_argument("--noise", type=float, default=0.25, help="noise in unused directions of W")
    parser.add_argument("--jitter", type=float, default=0.4, help="jitter of pose between layers")
    parser.add_argument("--held-out", type=int, default=500, help="pictures for validation")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 convolutions")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    train, held_out = load_pictures(options.data, options.held_out)
    _LOG.info("%d pictures, %d held out", len(train), len(held_out))
    trainer = Trainer(
        make_generator(),
        LatentSampler(noise=options.noise, jitter=options.jitter),
        learning_rate=options.learning_rate,
        fast=not options.float32,
    )
    if (options.out / FILE_NAME).exists():
        trainer.resume(options.out)
    trainer.run(options.stages, train, held_out, options.out)


if __name__ == "__main__":
    main()
