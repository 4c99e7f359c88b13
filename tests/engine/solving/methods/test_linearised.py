# SPDX-License-Identifier: GPL-3.0-or-later
"""Least-squares steps on features that are linear in the latent, so that the results are known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from draggan_blender.protocol.settings import values_of
from engine.arrays import FloatArray
from engine.features.full_map import FullMapSource
from engine.solving.drag import drag
from engine.solving.methods import DragProblem, linearised
from engine.solving.methods.linearised import Linearised
from engine.solving.options import DragOptions
from engine.solving.result import DragResult, DragStatus, DragStep
from engine.solving.supervision import disc_offsets

from ...synthetic import ShiftGenerator, Waves, as_generator, motion_jacobian, paths_of

Array = npt.NDArray[np.float64]

LATENT_SPACES = values_of("latent_space")
SIZE = 32
OPTIONS = DragOptions(
    method="linearised", latent_space="w+", num_layers=2, mask_weight=2.0, linear_reach=4.0
)
# The displacement of the shifting generator's handles: 3.9 feature pixels.
MOVE_PX = np.array([6.0, -5.0], dtype=np.float32)

HANDLES = torch.tensor([[10.0, 12.0], [20.0, 18.0]])
TARGETS = HANDLES + torch.tensor([[3.0, 0.0], [0.0, -2.0]])


class LinearGenerator(nn.Module):
    """``F0 + sum_i w_i dF_i``: each of the six entries of the first two w adds its own texture."""

    img_shape = (3, SIZE, SIZE)
    resolutions = (SIZE,)
    num_ws = 3
    w_dim = z_dim = 3
    c_dim = 0

    def __init__(self) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.config = SimpleNamespace(block_shape=lambda resolution: (SIZE, SIZE))
        waves = Waves(channels=7 * 6)
        self.maps = waves.map(SIZE, SIZE, torch.zeros(2)).reshape(7, 6, SIZE, SIZE)
        self.calls = 0

    def mapping(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Return ``N x 3 x 3``, so wide that no step is limited by it."""
        return (100 * z)[:, None].repeat(1, self.num_ws, 1)

    def features(self, ws: Tensor, resolution: int) -> Tensor:
        """Return ``1 x 6 x 32 x 32`` and count the call."""
        self.calls += 1
        change = torch.einsum("i,ichw->chw", 0.1 * ws[0, :2].flatten(), self.maps[1:])
        return (self.maps[0] + change)[None]


def _fixed() -> Tensor:
    fixed = torch.zeros(SIZE, SIZE)
    fixed[:, 20:] = 1
    return fixed


def _method(
    options: DragOptions, fixed: Tensor | None, **problem_changes: Any
) -> tuple[Linearised, LinearGenerator]:
    generator = LinearGenerator()
    start = torch.zeros(3, 3)
    problem = DragProblem(
        generator=as_generator(generator),
        source=FullMapSource(as_generator(generator), SIZE, start, fixed),
        start=start,
        num_layers=2,
        handles=HANDLES,
        targets=TARGETS,
        options=options,
        paths=paths_of(HANDLES, TARGETS),
        home=start,
        **problem_changes,
    )
    return Linearised(problem), generator


def test_only_a_drag_that_goes_on_from_no_other_begins_anew() -> None:
    assert _method(OPTIONS, None)[0].begin_anew()
    assert not _method(OPTIONS, None, origin=torch.zeros(3, 3))[0].begin_anew()


def test_it_settles_for_what_is_near_enough() -> None:
    far_px = float((TARGETS - HANDLES).norm(dim=1).max())
    for enough_px, settled in ((0.0, False), (far_px - 0.1, False), (far_px + 0.1, True)):
        method, _ = _method(OPTIONS, None, enough_px=enough_px)
        assert bool(method.look().settled) is settled


def _jacobian(generator: LinearGenerator, coordinates: Tensor, handles: Tensor) -> Array:
    leaf = coordinates.clone().requires_grad_()
    latent = torch.cat([leaf.reshape(2, 3), torch.zeros(1, 3)])
    source = FullMapSource(as_generator(generator), SIZE, torch.zeros(3, 3))
    windows = source.observe(latent, handles, 8).windows
    jacobian = motion_jacobian(windows, handles, disc_offsets(OPTIONS.r1 * SIZE / 128), leaf)
    dense: Array = jacobian.double().numpy()
    return dense


def _dense_problem(
    generator: LinearGenerator,
    coordinates: Tensor,
    handles: Tensor,
    reach: float,
    mask_weight: float,
) -> tuple[Array, Array]:
    """Return the least-squares problem of one step: a block of rows per term, the mask's last."""
    c = coordinates.double().numpy()
    jacobian = _jacobian(generator, coordinates, handles)
    way = TARGETS - handles
    wanted = (way * (reach / way.norm(dim=1, keepdim=True).clamp(min=reach))).flatten().numpy()
    mu = 1e-2 * np.square(jacobian).sum(axis=1).mean()
    # The fixed area's difference: its square is the mean over positions and channels.
    base = generator.maps[0]
    spread = (base - base.mean(dim=(1, 2), keepdim=True)).square().mean().sqrt().item()
    slope = 0.1 * generator.maps[1:, :, :, 20:].flatten(1).T.double().numpy()
    slope *= np.sqrt(2.0 * mask_weight / len(slope)) / spread
    rows = [jacobian, np.sqrt(mu) * np.eye(6), slope]
    right = [wanted, -0.1 * np.sqrt(mu) * c, -slope @ c]
    return np.concatenate(rows), np.concatenate(right)


@pytest.mark.parametrize("mask_weight", [0.0, 1.25, 12.5, 50.0])
def test_each_step_is_the_dense_solution_with_and_without_a_fixed_area(
    mask_weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As many passes as coordinates, and a few for rounding: the solution has converged.
    monkeypatch.setattr(linearised, "_MASK_PASSES", 10)
    options = replace(OPTIONS, mask_weight=mask_weight)
    method, generator = _method(options, _fixed() if mask_weight else None)
    base = method.look()
    for _ in range(2):  # the second one has a change to revert and a fixed area to restore
        before, reach = base.latent[:2].flatten(), float(method._limit)
        matrix, right = _dense_problem(generator, before, base.handles, reach, mask_weight)
        expected = np.linalg.lstsq(matrix, right, rcond=None)[0]
        method.update()
        look = method.look()
        found = (look.latent[:2].flatten() - before).double().numpy()
        assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
        # If the mask prevents an improvement, the second step starts where the first did.
        base = look if look.loss < 0.9 * base.loss else base


def test_the_few_passes_of_a_step_bring_most_of_what_any_number_would() -> None:
    method, generator = _method(OPTIONS, _fixed())
    reach = OPTIONS.linear_reach * SIZE / 128
    handles = method.look().handles
    method.update()
    found = method.look().latent[:2].flatten().double().numpy()
    matrix, right = _dense_problem(generator, torch.zeros(6), handles, reach, OPTIONS.mask_weight)

    def cost(change: Array) -> float:
        return float(np.square(matrix @ change - right).sum())

    least = cost(np.linalg.lstsq(matrix, right, rcond=None)[0])
    others = 2 * len(HANDLES) + 6
    without = cost(np.linalg.lstsq(matrix[:others], right[:others], rcond=None)[0])
    assert cost(found) - least < 0.2 * (without - least)


def test_a_fixed_area_costs_four_passes_a_step_and_none_costs_none() -> None:
    for fixed, expected in ((None, 1), (_fixed(), 1 + 4)):
        method, generator = _method(OPTIONS, fixed)
        method.look()
        method.update()
        before = generator.calls
        method.look()
        method.update()
        assert generator.calls - before == expected


def _shift_drag(
    options: DragOptions,
    generator: ShiftGenerator | None = None,
    moves_px: FloatArray = MOVE_PX,
) -> tuple[DragResult, list[DragStep]]:
    handles = np.array([[10.0, 20.0], [20.0, 30.0]])
    steps: list[DragStep] = []
    shifting = as_generator(generator or ShiftGenerator())
    start = np.zeros((4, 8), np.float32)
    result = drag(shifting, start, handles, handles + moves_px, options, on_step=steps.append)
    return result, steps


@pytest.mark.parametrize("space", LATENT_SPACES)
def test_it_needs_about_as_many_steps_as_the_way_has_reaches(space: str) -> None:
    options = replace(OPTIONS, latent_space=space, linear_reach=8.0)  # 1.5 of 24 feature px
    result, _ = _shift_drag(options)
    assert result.status is DragStatus.REACHED
    assert 3 <= len(result.latents) - 1 <= 5  # 3.9 feature px
    moved = ShiftGenerator().shift_of(torch.from_numpy(result.latents[-1])) * 2
    assert np.linalg.norm(moved.numpy() - MOVE_PX) < 1.2


def test_no_step_is_longer_than_the_reach() -> None:
    result, _ = _shift_drag(replace(OPTIONS, linear_reach=4.0))  # 0.75 of 24 feature px
    ways_px = np.linalg.norm(np.diff(result.handles_px, axis=0), axis=2)
    assert ways_px.max() < 1.5 * 1.1
    assert ways_px[:-1].min() > 1.5 * 0.85


def test_a_way_of_many_reaches_is_gone_to_its_end() -> None:
    result, _ = _shift_drag(replace(OPTIONS, linear_reach=1.0))  # 0.19 of 3.9 feature px
    assert result.status is DragStatus.REACHED
    assert 20 <= result.steps <= 23


def test_no_step_changes_w_by_more_than_half_its_spread() -> None:
    spread = 0.002
    narrow = ShiftGenerator(spread)
    _, steps = _shift_drag(replace(OPTIONS, latent_space="w+"), narrow)
    latents = np.stack([step.latent.numpy() for step in steps])
    changes = np.sqrt(np.square(np.diff(latents, axis=0)).mean(axis=2).max(axis=1))
    assert changes.max() == pytest.approx(0.5 * spread, rel=0.05)


def test_on_a_flat_place_it_soon_sees_that_nothing_helps_and_leaves_the_image_alone() -> None:
    class Flat(ShiftGenerator):
        def features(self, ws: Tensor, resolution: int) -> Tensor:
            flat = torch.linspace(-1, 1, 5)[:, None, None].expand(5, 24, 16)
            return (flat * (1 + 0.1 * ws.mean()))[None]

    result, steps = _shift_drag(replace(OPTIONS, patience=40), Flat())
    assert result.status is DragStatus.STALLED and "do not move the handles closer" in result.reason
    assert len(steps) <= 14  # two attempts
    assert np.abs(result.latents).max() <= 0.1  # one standard deviation


def test_a_step_that_leads_away_is_taken_back_and_tried_with_half_the_limit() -> None:
    class Misleading(ShiftGenerator):
        def features(self, ws: Tensor, resolution: int) -> Tensor:
            features = super().features(ws, resolution)
            if self.calls != 3:
                return features
            off = torch.tensor([-2.0, 1.5])
            return self.waves.map(24, 16, self.shift_of(ws[0]) + off)[None]

    result, steps = _shift_drag(replace(OPTIONS, linear_reach=10.0, r2=3.0), Misleading())  # 1.9 px
    places = np.stack([ShiftGenerator().shift_of(step.latent).numpy() for step in steps])
    bases = places[[0, 1, 1, 3]]
    lengths = np.linalg.norm(places[1:] - bases, axis=1)
    # Two steps of the full reach, of which the second is reverted; half of it; the rest, which is
    # less than 1.5 halves.
    assert lengths == pytest.approx([1.9, 1.9, 0.95, 1.05], abs=0.15)
    assert result.status is DragStatus.REACHED and result.steps == 4
    assert result.distances_px[2] > result.distances_px[1] > result.distances_px[3]


def test_within_the_tolerance_it_goes_on_while_it_comes_nearer() -> None:
    result, _ = _shift_drag(replace(OPTIONS, linear_reach=6.4))  # 1.2 feature px: 0.3 remain
    assert result.status is DragStatus.REACHED
    assert 0.3 < result.distances_px[-2] < 1.0
    assert result.distances_px[-1] < 0.3


def test_within_the_tolerance_it_ends_as_soon_as_it_comes_no_nearer() -> None:
    # No shift moves two handles differently.
    apart_px = np.array([[0.5, 0.0], [-0.5, 0.0]], dtype=np.float32)
    result, steps = _shift_drag(OPTIONS, moves_px=MOVE_PX + apart_px)
    assert result.status is DragStatus.REACHED
    assert 0.4 < result.distances_px[-1] < 0.7
    errors = [step.loss for step in steps]
    assert errors[-1] > 0.9 * errors[-2] and errors[-2] < 0.9 * errors[-3]


class PartGenerator(ShiftGenerator):
    """The first entries of w, x and y, move everything; the next two move what is in a disc."""

    def __init__(self) -> None:
        super().__init__()
        y, x = torch.meshgrid(torch.arange(24), torch.arange(16), indexing="ij")
        home = (HANDLE_PX[0] - 1) / 2
        self.part = (torch.hypot(x - home[0], y - home[1]) < 6).float()

    def features(self, ws: Tensor, resolution: int) -> Tensor:
        return self._map(ws[0])[None]

    def synthesis(self, ws: Tensor, noise_mode: str, resolution: int) -> Tensor:
        return torch.stack([self._map(one)[:3] for one in ws])

    def _map(self, ws: Tensor) -> Tensor:
        everything, part = ws[:, :2].sum(0) * 10, ws[:, 2:4].sum(0) * 10
        shift = everything[:, None, None] + part[:, None, None] * self.part
        return self.waves.map(24, 16, shift[..., None, None])


HANDLE_PX = np.array([[16.0, 20.0]], dtype=np.float32)


def _part_drag(options: DragOptions) -> tuple[DragResult, float, float]:
    """Return a drag of the disc, and how far everything and the disc alone were moved, px."""
    start = np.zeros((4, 8), np.float32)
    move_px = np.array([3.0, -2.0], np.float32)
    result = drag(as_generator(PartGenerator()), start, HANDLE_PX, HANDLE_PX + move_px, options)
    shifts = result.latents[-1][:, :4].sum(0) * 20
    return result, float(np.linalg.norm(shifts[:2])), float(np.linalg.norm(shifts[2:]))


def test_of_two_changes_that_move_the_handle_alike_the_one_that_changes_less_is_made() -> None:
    options = replace(OPTIONS, latent_space="principal", linear_reach=8.0)
    _, everything, part = _part_drag(options)
    assert everything == pytest.approx(part, rel=0.15)
    for space in ("automatic", "by_hand"):
        result, everything, part = _part_drag(replace(options, latent_space=space))
        assert result.status is DragStatus.REACHED
        assert everything < 0.25 * part


def test_without_freedom_a_drag_is_that_of_the_principal_components_to_the_bit() -> None:
    options = replace(OPTIONS, latent_space="principal")
    bound = replace(OPTIONS, latent_space="by_hand", freedom=0.0)
    first, second = _part_drag(options)[0], _part_drag(bound)[0]
    assert np.array_equal(first.latents, second.latents)
    assert np.array_equal(first.handles_px, second.handles_px)
