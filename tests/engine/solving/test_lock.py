# SPDX-License-Identifier: GPL-3.0-or-later
"""Drags that are kept out of directions, or held to some."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from draggan_blender.protocol.directions import on_layers
from draggan_blender.protocol.settings import values_of
from engine.arrays import FloatArray
from engine.solving.drag import drag
from engine.solving.freedom import metric_of
from engine.solving.latent_space import latent_space
from engine.solving.lock import Lock, Locked
from engine.solving.methods.least_squares import NormalEquations
from engine.solving.options import DragOptions
from engine.solving.principal import principal_components
from stylegan2 import Generator

HANDLE = np.array([[10.0, 16.0]], np.float32)
TARGET = np.array([[16.0, 15.0]], np.float32)


def _directions(generator: Generator, *numbers: int, first: int = 0, last: int = 99) -> FloatArray:
    """Return some principal directions, ``D x num_ws x w_dim``, in some layers."""
    scaled = principal_components(generator).scaled().numpy()
    found = [on_layers(scaled[n : n + 1], generator.num_ws, first, last) for n in numbers]
    return np.stack(found)


def _sigmas(generator: Generator, change: FloatArray) -> FloatArray:
    """Return a change of a latent in standard deviations, ``num_ws x K``."""
    components = principal_components(generator)
    return (torch.from_numpy(change) @ components.directions.T / components.sigmas).numpy()


def _random(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", values_of("latent_space"))
def test_no_coordinates_change_what_is_locked(generator: Generator, name: str) -> None:
    start = _random(generator.num_ws, generator.w_dim)
    kept = _directions(generator, 1, 3, first=2, last=4)
    space = latent_space(name, generator, start, 6, locked=Locked(kept=kept))
    with torch.no_grad():
        space.coordinates.copy_(_random(*space.coordinates.shape, seed=4))
    change = (space.latent() - start).detach().numpy()
    found = np.abs(_sigmas(generator, change))
    if name != "w":
        assert found[2:5, [1, 3]].max() < 1e-4 * found.max()
        assert found[:2, 1].max() > 0.01 * found.max()
    else:  # all layers are one
        assert found[:6, [1, 3]].max() < 1e-4 * found.max()


@pytest.mark.parametrize("name", values_of("latent_space"))
def test_a_drag_that_is_held_to_directions_has_only_their_strengths(
    generator: Generator, name: str
) -> None:
    start = _random(generator.num_ws, generator.w_dim)
    along = _directions(generator, 0, 2)
    space = latent_space(name, generator, start, generator.num_ws, locked=Locked(along=along))
    with torch.no_grad():
        space.coordinates.copy_(_random(*space.coordinates.shape, seed=4))
    found = _sigmas(generator, (space.latent() - start).detach().numpy())
    assert np.abs(found - found[0]).max() < 1e-4
    assert np.abs(np.delete(found, [0, 2], axis=1)).max() < 1e-4
    assert np.abs(found[0, [0, 2]]).min() > 1e-3


def test_what_is_locked_is_left_out_of_what_a_drag_is_held_to(generator: Generator) -> None:
    start = _random(generator.num_ws, generator.w_dim)
    locked = Locked(kept=_directions(generator, 0), along=_directions(generator, 0, 2))
    space = latent_space("principal", generator, start, generator.num_ws, locked=locked)
    with torch.no_grad():
        space.coordinates.copy_(_random(*space.coordinates.shape, seed=4))
    found = _sigmas(generator, (space.latent() - start).detach().numpy())
    assert np.abs(np.delete(found, 2, axis=1)).max() < 1e-4
    assert np.abs(found[:, 2]).min() > 1e-3


@pytest.mark.parametrize("is_along", [False, True])
def test_the_least_change_in_a_lock_is_that_of_the_constrained_problem(is_along: bool) -> None:
    """Compare with the closed form: x = B y, with the y of the normal equations of J B."""
    mixing = torch.cat([torch.ones(3, 1), 0.3 * torch.eye(3)], dim=1)
    half = _random(5, 5, seed=1)
    metric = metric_of(torch.tensor(0.7), mixing, half @ half.T)
    vectors, jacobian, wanted = _random(3, 20, seed=2), _random(2, 20, seed=5), _random(2, seed=6)
    lock = Lock(vectors, is_along=is_along)
    jacobian = lock.project(jacobian)
    normal = NormalEquations(jacobian, torch.zeros(20), damping=0.05, metric=lock.metric(metric))
    found = normal.least_change(wanted)
    torch.testing.assert_close(lock.project(found), found, atol=1e-5, rtol=1e-4)

    one = torch.eye(20)
    whole = torch.linalg.svd(vectors).Vh
    basis = (whole[:3] if is_along else whole[3:]).double()
    cost = metric.apply(one).double()
    ours = jacobian.double() @ basis.T
    gram = ours @ torch.linalg.solve(basis @ cost @ basis.T, ours.T)
    damped = gram + (0.05 * gram.diagonal().mean() + 1e-8) * torch.eye(2)
    step = torch.linalg.solve(basis @ cost @ basis.T, ours.T)
    exact = (step @ torch.linalg.solve(damped, wanted.double())) @ basis
    torch.testing.assert_close(found.double(), exact, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("method", ["linearised", "draggan", "freedrag"])
def test_a_drag_keeps_what_is_locked_and_still_moves(
    generator: Generator, latent: FloatArray, method: str
) -> None:
    options = DragOptions(method=method, max_steps=5)
    free = drag(generator, latent, HANDLE, TARGET, options)
    sigmas = _sigmas(generator, free.latents[-1] - latent)
    most = int(np.abs(sigmas[:5]).max(axis=0).argmax())
    locked = Locked(kept=_directions(generator, most))
    held = drag(generator, latent, HANDLE, TARGET, options, locked=locked)
    kept = _sigmas(generator, held.latents[-1] - latent)
    assert np.abs(kept[:, most]).max() < 1e-3 * np.abs(sigmas[:, most]).max()
    assert np.abs(kept).max() > 0.01
    assert held.distances_px[-1] < held.distances_px[0]


def test_a_masked_drag_keeps_what_is_locked(generator: Generator, latent: FloatArray) -> None:
    mask = np.full((32, 32), 255, np.uint8)
    mask[20:] = 0
    options = DragOptions(max_steps=4, mask_mode="soft")
    locked = Locked(kept=_directions(generator, 0, 1))
    held = drag(generator, latent, HANDLE, TARGET, options, mask=mask, locked=locked)
    kept = np.abs(_sigmas(generator, held.latents[-1] - latent))
    assert kept[:, :2].max() < 1e-3 * kept.max()


def test_a_drag_without_a_lock_is_the_same_to_the_bit(
    generator: Generator, latent: FloatArray
) -> None:
    options = DragOptions(max_steps=3)
    free = drag(generator, latent, HANDLE, TARGET, options)
    same = drag(generator, latent, HANDLE, TARGET, options, locked=Locked())
    np.testing.assert_array_equal(free.latents[-1], same.latents[-1])
