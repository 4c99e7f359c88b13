# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains and writes the curved twin: ``python -m tools.suzanne.twin --data DIR --training DIR``.

The twin learns from the same renders and with the same loss as the built-in model, but its W is
that of a random mapping network (``curved``): pose, shape, light and colours are entangled, each
factor's direction changes from point to point, and all layers get the same w. Nothing is mixed,
and no length is set afterwards. It is for the benchmark only: a method that is good only because
the built-in model's W is flat fails here.

With ``--out FILE`` the command writes the model of the state instead of training. The state is
written once a minute, so the training can be stopped and started again at any time. With ``--start
FILE`` and the remaining ``--stages`` it goes on with a model whose state is lost.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from torch import Tensor

from stylegan2 import Generator, GeneratorConfig, load_generator, save_generator
from tools.suzanne.curved import LAYERS, CurvedMap
from tools.suzanne.dataset import load_pictures
from tools.suzanne.distill import contact_sheet, license_note, set_w_average
from tools.suzanne.latents import W_DIM
from tools.suzanne.state import FILE_NAME, TrainingState
from tools.suzanne.train import MAPPING_FEATURES, Stage, Trainer, parse_stage

# Channels of the blocks from 4 to 64 px.
CHANNELS = (128, 128, 128, 64, 32)

# More and longer stages than for the flat W: small pictures, where a batch costs little, teach the
# network to tell the factors apart.
STAGES = [
    Stage(8, 150_000),
    Stage(16, 150_000),
    Stage(32, 100_000),
    Stage(64, 40_000),
    Stage(64, 80_000),
]

_LOG = logging.getLogger(__name__)


class CurvedSampler:
    """Makes the latents of a training: the same w in all layers, from the curved map."""

    separates = False

    def __init__(self) -> None:
        self._map = CurvedMap.random(MAPPING_FEATURES, W_DIM)

    def plain(self, values: Tensor, num_ws: int) -> Tensor:
        """Return the latents of factors ``B x F``, equal in all layers: ``B x num_ws x W_DIM``."""
        return self._map(values)[:, None].expand(-1, num_ws, -1)

    def mixed(self, values: Tensor, num_ws: int) -> Tensor:
        """Return the same as ``plain``: nothing is mixed."""
        return self.plain(values, num_ws)


def make_twin() -> Generator:
    """Return a generator with the mapping network of the twin and an untrained synthesis."""
    config = GeneratorConfig(
        img_resolution=4 << (len(CHANNELS) - 1),
        channels=CHANNELS,
        z_dim=W_DIM,
        w_dim=W_DIM,
        num_layers=LAYERS + 1,
        mapping_features=MAPPING_FEATURES,
        use_noise=False,
    )
    generator = Generator(config)
    CurvedMap.random(MAPPING_FEATURES, W_DIM).install(generator)
    return generator


def write_model(training: Path, path: Path) -> None:
    """Write the model of a training's state, and its contact sheet beside it.

    Args:
        training: The folder of the state.
        path: The ``.safetensors`` file.

    Raises:
        FileNotFoundError: The folder contains no state.
    """
    generator = make_twin()
    generator.synthesis.load_state_dict(TrainingState.load(training).synthesis)
    set_w_average(generator)
    generator.freeze()
    save_generator(generator, path, license_note=license_note())
    contact_sheet(generator).save(path.with_suffix(".png"), optimize=True)
    _LOG.info("%s: %d bytes", path, path.stat().st_size)


def main() -> None:
    """Train, or write the model, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the rendered shards")
    parser.add_argument("--training", type=Path, required=True, help="folder for the state")
    parser.add_argument("--out", type=Path, help="write this .safetensors file, do not train")
    parser.add_argument("--start", type=Path, help="begin with the network of a model's file")
    parser.add_argument(
        "--stages",
        type=parse_stage,
        nargs="+",
        default=STAGES,
        metavar="PX:PICTURES",
        help="stages, in order; a second one at the same size is a warm restart",
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--learning-rate", type=float, default=8e-3, help="of Adam")
    parser.add_argument("--held-out", type=int, default=500, help="pictures for validation")
    parser.add_argument("--bfloat16", action="store_true", help="convolutions in bfloat16")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.out:
        write_model(options.training, options.out)
        return
    if not options.data:
        parser.error("--data is needed for training")
    train, held_out = load_pictures(options.data, options.held_out)
    _LOG.info("%d pictures, %d held out", len(train), len(held_out))
    generator = make_twin()
    if options.start:
        known = load_generator(options.start, torch.device("cpu"))
        generator.synthesis.load_state_dict(known.synthesis.state_dict())
    trainer = Trainer(
        generator,
        CurvedSampler(),
        learning_rate=options.learning_rate,
        fast=options.bfloat16,
    )
    if (options.training / FILE_NAME).exists():
        trainer.resume(options.training)
    trainer.run(options.stages, train, held_out, options.training)


if __name__ == "__main__":
    main()
