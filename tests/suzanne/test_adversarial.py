# SPDX-License-Identifier: GPL-3.0-or-later
"""The adversarial training: its losses against their definitions, its networks, and resuming."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stylegan2 import load_generator
from stylegan2.ops import filter_taps, upsample2d
from tools.suzanne import adversarial
from tools.suzanne.adversarial import Options, Trainer, write_model
from tools.suzanne.discriminator import GROUP_SIZE, Discriminator, minibatch_deviation
from tools.suzanne.gan_losses import path_lengths, r1_penalty


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(adversarial, "CHANNELS", {8: (8, 8), 16: (8, 8, 4)})
    monkeypatch.setattr(adversarial, "LATENT_DIM", 8)


def _trainer() -> Trainer:
    torch.manual_seed(0)
    return Trainer(Options(resolution=16, batch_size=4))


def _pictures() -> Tensor:
    source = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8, generator=source)


def test_the_discriminator_returns_one_number_a_picture_at_every_size() -> None:
    for levels in (2, 3, 4):
        size = 4 << (levels - 1)
        network = Discriminator((8,) * levels)
        assert network(torch.randn(4, 3, size, size)).shape == (4,)


def test_halving_keeps_constant_pictures_constant_inside() -> None:
    skip = Discriminator((8, 3)).blocks[0].get_submodule("skip")
    weight = skip.get_parameter("weight")
    nn.init.zeros_(weight)
    with torch.no_grad():
        weight[:3, :, 0, 0] = torch.eye(3) * math.sqrt(3)
    y = skip(torch.full((1, 3, 8, 8), 0.5))
    assert y.shape == (1, 8, 4, 4)
    torch.testing.assert_close(y[0, :3, 1:-1, 1:-1], torch.full((3, 2, 2), 0.5))


def test_the_deviation_is_that_within_each_group() -> None:
    x = torch.randn(2 * GROUP_SIZE, 5, 3, 3)
    found = minibatch_deviation(x)
    assert found.shape == (2 * GROUP_SIZE, 1, 3, 3)
    # Groups are interleaved: picture i is in group i modulo the number of groups.
    for group in range(2):
        expected = (x[group::2].var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
        torch.testing.assert_close(found[group::2], expected.expand(GROUP_SIZE, 1, 3, 3))
    assert float(minibatch_deviation(x[:1].expand(GROUP_SIZE, -1, -1, -1)).max()) < 2e-4


def test_r1_of_a_known_function() -> None:
    images = torch.randn(3, 2, 4, 4).requires_grad_(True)
    slope = torch.randn(2, 4, 4)
    logits = (images * slope).sum(dim=(1, 2, 3)) + images.square().sum(dim=(1, 2, 3))
    expected = 0.5 * (slope + 2.0 * images).square().sum(dim=(1, 2, 3)).mean()
    penalty = r1_penalty(logits, images)
    torch.testing.assert_close(penalty, expected)
    (gradient,) = torch.autograd.grad(penalty, images)
    torch.testing.assert_close(gradient, 2.0 * (slope + 2.0 * images) / 3.0)


def test_path_lengths_of_a_linear_generator() -> None:
    matrix = torch.randn(2, 6, 3 * 4 * 8)  # layers x w_dim x pixels
    ws = torch.randn(5, 2, 6).requires_grad_(True)
    images = torch.einsum("blw,lwp->bp", ws, matrix).reshape(5, 3, 4, 8)
    torch.manual_seed(7)
    found = path_lengths(images, ws)
    torch.manual_seed(7)
    noise = torch.randn(5, 3, 4, 8).flatten(1) / math.sqrt(32)
    pulled = torch.einsum("bp,lwp->blw", noise, matrix)
    torch.testing.assert_close(found, pulled.square().sum(dim=2).mean(dim=1).sqrt())


def test_a_training_that_was_stopped_takes_the_same_steps(tmp_path: Path) -> None:
    pictures = _pictures()
    straight = _trainer()
    before = straight.samples()
    losses = [straight.step(pictures) for _ in range(5)]
    assert all(math.isfinite(value) for pair in losses for value in pair)
    assert straight.seen == 20 and not torch.equal(straight.samples(), before)

    stopped = _trainer()
    for _ in range(2):
        stopped.step(pictures)
    stopped.save(tmp_path)
    torch.manual_seed(99)
    resumed = Trainer(Options(resolution=16, batch_size=4))
    resumed.resume(tmp_path)
    assert [resumed.step(pictures) for _ in range(3)] == losses[2:]
    assert torch.equal(resumed.samples(), straight.samples())


def test_a_training_grows_from_one_at_half_the_resolution(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = Trainer(Options(resolution=8, batch_size=4))
    for _ in range(3):
        small.step(nn.functional.avg_pool2d(_pictures().float(), 2).byte())
    small.save(tmp_path)
    grown = _trainer()
    grown.grow(tmp_path)
    assert grown.seen == small.seen == 12
    torch.testing.assert_close(grown.samples(), upsample2d(small.samples(), filter_taps()))
    # Which of the two discriminators' layers have the same weights.
    before, after = small._discriminator.state_dict(), grown._discriminator.state_dict()
    assert torch.equal(after["blocks.1.conv1.weight"], before["blocks.0.conv1.weight"])
    assert torch.equal(after["out.weight"], before["out.weight"])
    images = grown.samples()
    assert all(math.isfinite(value) for value in grown.step(_pictures()))
    for _ in range(3):
        grown.step(_pictures())
    assert not torch.allclose(grown.samples(), images)
    with pytest.raises(RuntimeError, match="blocks"):
        grown.grow(_saved(tmp_path / "other", grown))


def _saved(folder: Path, trainer: Trainer) -> Path:
    trainer.save(folder)
    return folder


def test_the_written_model_is_the_average(tmp_path: Path) -> None:
    trainer = _trainer()
    trainer.run(_pictures(), 8, tmp_path)
    assert trainer.seen == 8 and (tmp_path / "samples.png").is_file()
    write_model(tmp_path, 16, tmp_path / "model.safetensors")
    generator = load_generator(tmp_path / "model.safetensors")
    z = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    images = generator.synthesis(generator.mapping(z))
    torch.testing.assert_close(images, trainer.samples(), atol=1e-4, rtol=1e-4)
    assert float(generator.mapping.w_avg.abs().max()) > 0.0
