# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains and writes the adversarial model: ``python -m tools.suzanne.adversarial``.

The model learns from the renders alone, without their factors, as StyleGAN2 is trained (Karras et
al., "Analyzing and Improving the Image Quality of StyleGAN"): non-saturating loss, lazy R1 and path
length regularisation, style mixing, a residual discriminator, and an average of the generator's
weights, which becomes the model. Only the noise inputs are left out, because nothing in a render is
random; in a short training they cover the pictures with noise. The model is for the benchmark only:
nobody made its W flat.

With ``--out FILE`` the command writes the model of the state instead of training. The state is
written once a minute, so the training can be stopped and started again at any time; a training that
was stopped takes the same steps as one that was not. ``--grow FOLDER`` begins with the weights of a
training at half the resolution, which learns several times as fast (as in Karras et al.,
"Progressive Growing of GANs", but without blending the sizes).
"""

from __future__ import annotations

import argparse
import copy
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan2 import Generator, GeneratorConfig, save_generator
from tools.suzanne.dataset import load_pictures
from tools.suzanne.discriminator import Discriminator
from tools.suzanne.distill import contact_sheet, license_note, set_w_average
from tools.suzanne.gan_losses import discriminator_loss, generator_loss, path_lengths, r1_penalty
from tools.suzanne.sheet import save_grid
from tools.suzanne.state import (
    FILE_NAME,
    optimizer_state,
    optimizer_tensors,
    read_state,
    write_state,
)

# Channels of the blocks from 4 px on, of both networks.
CHANNELS = {32: (128, 128, 96, 64), 64: (128, 128, 96, 64, 32)}
LATENT_DIM = 64

MIXING_PROBABILITY = 0.9
# Every how many steps each regularisation is computed; its loss is multiplied by the same number.
R1_INTERVAL = 16
PATH_INTERVAL = 4
PATH_WEIGHT = 2.0
# How fast the target of the path length follows its mean, and the share of a batch it is computed
# for.
PATH_DECAY = 0.01
PATH_BATCH_SHARE = 2
# Half-life of the average of weights, in pictures, and its upper limit as a share of those seen.
AVERAGE_HALF_LIFE = 5_000
AVERAGE_SHARE = 0.05

SAVE_INTERVAL_S = 60.0
REPORT_INTERVAL_S = 60.0
SAMPLES_INTERVAL_S = 600.0
_SAMPLES = 32

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """The settings of a training.

    Attributes:
        resolution: Width and height of the pictures, a key of ``CHANNELS``.
        batch_size: Pictures per step.
        learning_rate: Of both networks.
        gamma: Weight of R1.
        device: Device of both networks and of the pictures.
    """

    resolution: int = 64
    batch_size: int = 16
    learning_rate: float = 2.5e-3
    gamma: float = 0.2
    device: torch.device = torch.device("cpu")  # noqa: RUF009  (immutable)


def make_generator(resolution: int) -> Generator:
    """Return a new generator for pictures of a resolution, with StyleGAN2's mapping network."""
    config = GeneratorConfig(
        img_resolution=resolution,
        channels=CHANNELS[resolution],
        z_dim=LATENT_DIM,
        w_dim=LATENT_DIM,
        use_noise=False,
    )
    return Generator(config)


class Trainer:
    """Runs the training and keeps its state: both networks, the average, and the optimisers."""

    def __init__(self, options: Options) -> None:
        """Draw random weights."""
        self._options = options
        self._generator = make_generator(options.resolution).to(options.device)
        self._average = copy.deepcopy(self._generator).requires_grad_(False)
        self._discriminator = Discriminator(CHANNELS[options.resolution]).to(options.device)
        self._generator_steps = self._adam(self._generator, PATH_INTERVAL)
        self._discriminator_steps = self._adam(self._discriminator, R1_INTERVAL)
        self._path_mean = torch.zeros((), device=options.device)
        self._seen = 0

    @property
    def seen(self) -> int:
        """The number of real pictures that the discriminator has seen."""
        return self._seen

    def _adam(self, network: nn.Module, interval: int) -> torch.optim.Adam:
        """Return an optimiser for a network with a regularisation in a step of its own.

        The rates allow for the additional steps (Karras et al. 2020, appendix B).
        """
        share = interval / (interval + 1.0)
        return torch.optim.Adam(
            network.parameters(),
            lr=self._options.learning_rate * share,
            betas=(0.0, 0.99**share),
            eps=1e-8,
        )

    def resume(self, folder: Path) -> None:
        """Load the state that ``save`` wrote into a folder."""
        groups, numbers = read_state(folder)
        for name, network in self._networks().items():
            network.load_state_dict(groups[name])
        for name, optimizer in self._optimizers().items():
            state = optimizer_state(groups[name])
            param_groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": param_groups})
        self._path_mean.copy_(groups["path"]["mean"])
        self._seen = numbers["pictures_seen"]

    def grow(self, folder: Path) -> None:
        """Take the weights of a training at half the resolution.

        The images are at first the enlarged ones of that training: the new block adds nothing to
        them. The layers of the discriminator for the new size are random.

        Args:
            folder: The folder of that training's state.

        Raises:
            RuntimeError: That training has another resolution or other channels.
        """
        groups, numbers = read_state(folder)
        new = self._generator.synthesis.block(self._options.resolution)
        nn.init.zeros_(new.torgb.weight)
        added = self._generator.state_dict()
        for network, name in ((self._generator, "generator"), (self._average, "average")):
            network.load_state_dict(added | groups[name])
        mine = self._discriminator.state_dict()
        for name, value in groups["discriminator"].items():
            if name.startswith("blocks."):
                _, number, rest = name.split(".", 2)
                mine[f"blocks.{int(number) + 1}.{rest}"] = value
            elif not name.startswith("from_rgb."):
                mine[name] = value
        self._discriminator.load_state_dict(mine)
        self._path_mean.copy_(groups["path"]["mean"])
        self._seen = numbers["pictures_seen"]

    def save(self, folder: Path) -> None:
        """Write the state into a folder."""
        groups = {name: network.state_dict() for name, network in self._networks().items()}
        for name, optimizer in self._optimizers().items():
            groups[name] = optimizer_tensors(optimizer.state_dict()["state"])
        groups["path"] = {"mean": self._path_mean}
        write_state(folder, groups, {"pictures_seen": self._seen})

    def _networks(self) -> dict[str, nn.Module]:
        return {
            "generator": self._generator,
            "average": self._average,
            "discriminator": self._discriminator,
        }

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            "generator_adam": self._generator_steps,
            "discriminator_adam": self._discriminator_steps,
        }

    def step(self, pictures: Tensor) -> tuple[float, float]:
        """Train both networks on one batch.

        The random numbers depend only on the number of pictures seen.

        Args:
            pictures: All pictures, ``N x 3 x S x S`` uint8, on the device.

        Returns:
            The losses of generator and discriminator.
        """
        torch.manual_seed(self._seen)
        number = self._seen // self._options.batch_size
        losses = self._step_generator(), self._step_discriminator(self._batch(pictures))
        if number % PATH_INTERVAL == 0:
            self._step_path_length()
        if number % R1_INTERVAL == 0:
            self._step_r1(self._batch(pictures))
        self._seen += self._options.batch_size
        self._update_average()
        return losses

    def _batch(self, pictures: Tensor) -> Tensor:
        """Return random pictures, mirrored at random: a mirrored render is a render."""
        count, device = self._options.batch_size, pictures.device
        images = pictures[torch.randint(len(pictures), (count,), device=device)]
        images = images.float() / 127.5 - 1.0
        mirrored = torch.rand(count, 1, 1, 1, device=device) < 0.5
        images = torch.where(mirrored, images.flip(3), images)
        return images.contiguous(memory_format=torch.channels_last)

    def _latents(self, count: int) -> Tensor:
        """Return ``count x num_ws x w_dim`` of random z, mixed from two z at a random layer."""
        device = self._options.device
        ws: Tensor = self._generator.mapping(torch.randn(count, LATENT_DIM, device=device))
        if torch.rand(()) < MIXING_PROBABILITY:
            layer = int(torch.randint(1, self._generator.num_ws, ()))
            others = self._generator.mapping(torch.randn(count, LATENT_DIM, device=device))
            ws = self._generator.mix(ws, others, layer)
        return ws

    def _step_generator(self) -> float:
        self._discriminator.requires_grad_(False)
        images = self._generator.synthesis(self._latents(self._options.batch_size))
        loss = generator_loss(self._discriminator(images))
        _take(self._generator_steps, loss)
        self._discriminator.requires_grad_(True)
        return loss.item()

    def _step_discriminator(self, real: Tensor) -> float:
        with torch.no_grad():
            fake = self._generator.synthesis(self._latents(len(real)))
        loss = discriminator_loss(self._discriminator(real), self._discriminator(fake))
        _take(self._discriminator_steps, loss)
        return loss.item()

    def _step_path_length(self) -> None:
        count = max(1, self._options.batch_size // PATH_BATCH_SHARE)
        ws = self._latents(count)
        lengths = path_lengths(self._generator.synthesis(ws), ws)
        self._path_mean.lerp_(lengths.detach().mean(), PATH_DECAY)
        penalty = (lengths - self._path_mean).square().mean()
        _take(self._generator_steps, penalty * PATH_WEIGHT * PATH_INTERVAL)

    def _step_r1(self, real: Tensor) -> None:
        images = real.requires_grad_(True)
        penalty = r1_penalty(self._discriminator(images), images)
        _take(self._discriminator_steps, penalty * self._options.gamma * R1_INTERVAL)

    @torch.no_grad()
    def _update_average(self) -> None:
        half_life = min(AVERAGE_HALF_LIFE, AVERAGE_SHARE * self._seen)
        kept = 0.5 ** (self._options.batch_size / half_life)
        values = self._generator.state_dict()
        for name, mean in self._average.state_dict().items():
            # The mean of W, a buffer, stays 0: it is computed when the model is written.
            mean.copy_(values[name].lerp(mean, kept))

    @torch.no_grad()
    def samples(self) -> Tensor:
        """Return images of the average for fixed z: ``_SAMPLES x 3 x S x S`` float32."""
        z = torch.randn(_SAMPLES, LATENT_DIM, generator=torch.Generator().manual_seed(0))
        z = z.to(self._options.device)
        images: Tensor = self._average.synthesis(self._average.mapping(z))
        return images.cpu()

    def run(self, pictures: Tensor, until: int, folder: Path) -> None:
        """Train until a number of pictures were seen.

        Args:
            pictures: As for ``step``.
            until: Number of pictures, those of earlier runs included.
            folder: Where the state and ``samples.png`` are written.
        """
        saved = reported = time.monotonic()
        sampled, seen, losses = 0.0, self._seen, torch.zeros(2)
        while self._seen < until:
            losses += self._options.batch_size * torch.tensor(self.step(pictures))
            now = time.monotonic()
            if now - saved > SAVE_INTERVAL_S:
                self.save(folder)
                saved = now
            if now - reported > REPORT_INTERVAL_S:
                count = self._seen - seen
                generator, discriminator = (losses / count).tolist()
                _LOG.info(
                    "%d pictures: loss %.3f, of the discriminator %.3f, path length %.3f, "
                    "%.1f pictures per second",
                    self._seen,
                    generator,
                    discriminator,
                    float(self._path_mean),
                    count / (now - reported),
                )
                reported, seen, losses = now, self._seen, torch.zeros(2)
            if now - sampled > SAMPLES_INTERVAL_S:
                save_grid(self.samples(), 8, folder / "samples.png")
                sampled = now
        self.save(folder)
        save_grid(self.samples(), 8, folder / "samples.png")


def _take(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def pictures_at(folder: Path, held_out: int, options: Options) -> Tensor:
    """Return the pictures for training, ``N x 3 x S x S`` uint8, at the size and on the device.

    Args:
        folder: Contains the shards of ``tools.suzanne.render``.
        held_out: Number of pictures to leave out: the last ones.
        options: Of the training.

    Raises:
        ValueError: The folder contains too few pictures.
    """
    train, _ = load_pictures(folder, held_out)
    shrink = train.images.shape[-1] // options.resolution
    parts = [F.avg_pool2d(part.float(), shrink).round().byte() for part in train.images.split(500)]
    return torch.cat(parts).to(options.device)


def write_model(training: Path, resolution: int, path: Path) -> None:
    """Write the model of a training's state, and its contact sheet beside it.

    Args:
        training: The folder of the state.
        resolution: Of the training.
        path: The ``.safetensors`` file.

    Raises:
        FileNotFoundError: The folder contains no state.
    """
    groups, _ = read_state(training)
    generator = make_generator(resolution)
    generator.load_state_dict(groups["average"])
    set_w_average(generator)
    generator.freeze()
    save_generator(generator, path, license_note=license_note())
    contact_sheet(generator).save(path.with_suffix(".png"), optimize=True)
    _LOG.info("%s: %d bytes", path, path.stat().st_size)


def main() -> None:
    """Train, or write the model, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, help="folder of the rendered shards")
    add("--training", type=Path, required=True, help="folder for the state")
    add("--grow", type=Path, help="begin with the state of a training at half the resolution")
    add("--out", type=Path, help="write this .safetensors file, do not train")
    add("--resolution", type=int, choices=tuple(CHANNELS), default=64, help="of the pictures, px")
    add("--pictures", type=int, default=1_000_000, help="pictures to see in all")
    add("--batch", type=int, default=16, help="pictures per step")
    add("--learning-rate", type=float, default=2.5e-3, help="of Adam")
    add("--gamma", type=float, default=0.2, help="weight of R1")
    add("--device", type=torch.device, default=torch.device("cpu"), help="cpu, or cuda")
    add("--threads", type=int, default=2, help="CPU threads")
    add("--held-out", type=int, default=500, help="pictures that are not trained on")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.out:
        write_model(options.training, options.resolution, options.out)
        return
    if not options.data:
        parser.error("--data is needed for training")
    settings = Options(
        options.resolution, options.batch, options.learning_rate, options.gamma, options.device
    )
    pictures = pictures_at(options.data, options.held_out, settings)
    _LOG.info("%d pictures of %d px", len(pictures), settings.resolution)
    trainer = Trainer(settings)
    if (options.training / FILE_NAME).exists():
        trainer.resume(options.training)
        _LOG.info("continues after %d pictures", trainer.seen)
    elif options.grow:
        trainer.grow(options.grow)
        _LOG.info("grows from a training of %d pictures", trainer.seen)
    trainer.run(pictures, options.pictures, options.training)


if __name__ == "__main__":
    main()
