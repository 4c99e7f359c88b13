# SPDX-License-Identifier: GPL-3.0-or-later
"""Mapping, labels and truncation, and how a frozen generator differs from a trainable one."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from stylegan2 import Generator, GeneratorConfig
from stylegan2.checkpoints.layout import expected_shapes

from ..making import random_generator, random_ws, tiny_config


def random_z(generator: Generator, count: int = 4) -> torch.Tensor:
    return torch.randn(count, generator.z_dim, generator=torch.Generator().manual_seed(2))


def test_mapping_ignores_the_length_of_z_and_repeats_w(frozen: Generator) -> None:
    z = random_z(frozen)
    ws = frozen.mapping(z)
    assert ws.shape == (4, frozen.num_ws, frozen.w_dim)
    assert torch.equal(ws[:, 0], ws[:, -1])
    torch.testing.assert_close(frozen.mapping(10 * z), ws)


def test_truncation_moves_towards_the_mean(frozen: Generator) -> None:
    z = random_z(frozen)
    ws, w_avg = frozen.mapping(z), frozen.mapping.w_avg
    halfway = frozen.mapping(z, truncation_psi=0.5)
    torch.testing.assert_close(halfway, (ws + w_avg) / 2)
    torch.testing.assert_close(frozen.mapping(z, truncation_psi=0.0), w_avg.expand_as(ws))
    cut = frozen.mapping(z, truncation_psi=0.5, truncation_cutoff=2)
    assert torch.equal(cut[:, :2], halfway[:, :2])
    assert torch.equal(cut[:, 2:], ws[:, 2:])
    with pytest.raises(ValueError, match="truncation_cutoff must not be negative"):
        frozen.mapping(z, truncation_psi=0.5, truncation_cutoff=-1)


def test_labels_steer_a_conditional_model() -> None:
    generator = random_generator(tiny_config(c_dim=3)).freeze()
    z = random_z(generator, 1).repeat(4, 1)
    labels = torch.cat([torch.eye(3), torch.zeros(1, 3)])
    ws = generator.mapping(z, labels)[:, 0]
    for first in range(4):
        for second in range(first):
            assert not torch.allclose(ws[first], ws[second])


def test_labels_are_required_only_by_models_with_labels(frozen: Generator) -> None:
    conditional = random_generator(tiny_config(c_dim=3))
    with pytest.raises(ValueError, match="has labels: c of shape 4 x 3 is needed"):
        conditional.mapping(random_z(conditional))
    with pytest.raises(ValueError, match="c has shape 1 x 3, expected 4 x 3"):
        conditional.mapping(random_z(conditional), torch.eye(3)[:1])
    with pytest.raises(ValueError, match="c has shape 4 x 3, expected 4 x 0"):
        frozen.mapping(random_z(frozen), torch.zeros(4, 3))
    frozen.mapping(random_z(frozen), torch.zeros(4, 0))


def test_z_of_the_wrong_size_is_refused(frozen: Generator) -> None:
    with pytest.raises(ValueError, match="z has shape 4 x 8, expected N x 10"):
        frozen.mapping(torch.zeros(4, 8))


def test_training_reaches_every_parameter() -> None:
    generator = Generator(tiny_config(c_dim=3))
    ws = generator.mapping(random_z(generator), torch.eye(4, 3))
    generator.synthesis(ws, noise_mode="random").square().mean().backward()
    unreached = [
        name
        for name, parameter in generator.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().max() > 0
    ]
    assert not unreached


def test_a_step_of_training_changes_what_is_computed(trainable: Generator) -> None:
    ws = random_ws(trainable)
    before = trainable.synthesis(ws)
    optimizer = torch.optim.Adam(trainable.parameters(), lr=0.01)
    before.square().mean().backward()
    optimizer.step()
    assert trainable.synthesis(ws).square().mean() < before.square().mean()


def test_a_new_generator_starts_at_unit_variance() -> None:
    torch.manual_seed(0)
    config = GeneratorConfig.standard(8, channel_max=64, z_dim=64, w_dim=64, mapping_layers=2)
    generator = Generator(config)
    ws = generator.mapping(torch.randn(64, 64))
    assert 0.5 < ws.square().mean() < 2
    for name, parameter in generator.named_parameters():
        if name.endswith("affine.bias"):
            assert torch.all(parameter == 1), name
    # Zero padding at 4 px removes 31 % of the variance: (10 / 12) squared of the taps are inside.
    assert 0.5 < generator.features(ws, 4).square().mean() < 1


class RecordConvolutionGradients(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records whether each backward pass of a convolution computes a weight gradient."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weight_gradients: list[bool] = []

    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is torch.ops.aten.convolution_backward.default:
            self.weight_gradients.append(args[-1][1])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("is_frozen", [True, False])
def test_weight_gradients_are_computed_in_training_only(
    trainable: Generator, is_frozen: bool
) -> None:
    generator = trainable.freeze() if is_frozen else trainable
    loss = generator.features(random_ws(generator).requires_grad_(), 16).square().sum()
    with RecordConvolutionGradients() as record:
        loss.backward()  # type: ignore[no-untyped-call]
    assert record.weight_gradients
    assert any(record.weight_gradients) != is_frozen


def test_a_frozen_generator_computes_the_same(trainable: Generator) -> None:
    ws = random_ws(trainable)
    expected = trainable.synthesis(ws).detach()
    frozen = trainable.freeze()
    assert not frozen.training
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    torch.testing.assert_close(frozen.synthesis(ws), expected)


def test_a_frozen_generator_can_be_trained_again(trainable: Generator) -> None:
    thawed = random_generator(tiny_config()).freeze().requires_grad_(True)
    ws = random_ws(trainable)
    for generator in (trainable, thawed):
        generator.synthesis(ws).square().mean().backward()
    for name, parameter in trainable.synthesis.named_parameters():
        found = thawed.synthesis.get_parameter(name).grad
        torch.testing.assert_close(found, parameter.grad, msg=partial("{}: {}".format, name))


def test_weights_loaded_into_a_frozen_generator_count(frozen: Generator) -> None:
    other = random_generator(tiny_config(), seed=9)
    ws = random_ws(frozen)
    frozen.load_state_dict(other.state_dict())
    torch.testing.assert_close(frozen.synthesis(ws), other.synthesis(ws))


@pytest.mark.parametrize("c_dim", [0, 3])
def test_the_state_dict_has_the_public_names(c_dim: int) -> None:
    generator = Generator(tiny_config(c_dim=c_dim))
    shapes = {key: tuple(tensor.shape) for key, tensor in generator.state_dict().items()}
    assert shapes == expected_shapes(generator.config)
    assert "synthesis.b16.conv0.affine.weight" in shapes
    assert ("mapping.embed.weight" in shapes) == bool(c_dim)
