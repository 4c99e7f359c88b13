# SPDX-License-Identifier: GPL-3.0-or-later
"""Convolutions by tiles of 4 x 4 results, and where they are used."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2 import Generator, GeneratorConfig, ImagePass
from stylegan2.network.layers import SynthesisLayer
from stylegan2.ops.fused import FusedOperators, build
from stylegan2.ops.scratch import Scratch
from stylegan2.ops.wide_winograd import tiles_of, wide_kernels
from stylegan2.windows.fused_pass import compute_map
from stylegan2.windows.layer_pass import LayerPass, LayerStyle
from stylegan2.windows.prepared_layer import PreparedLayer

from ..making import random_generator, random_ws

CPU = torch.device("cpu")
# The largest error of a value, as a share of the largest value of a map.
CLOSE = 3e-5


@pytest.fixture(scope="module")
def operators(operators_folder: Path) -> FusedOperators:
    """Return the compiled operators."""
    if not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        pytest.skip("there is no C++ compiler")
    return FusedOperators(build(operators_folder, CPU), CPU)


def prepared(
    channels: tuple[int, int],
    shape: tuple[int, int],
    *,
    doubles: bool = False,
    noisy: bool = True,
    clamp: float | None = 0.9,
) -> PreparedLayer:
    torch.manual_seed(4)
    layer = SynthesisLayer(
        *channels, w_dim=6, shape=shape, upsample=doubles, use_noise=noisy, conv_clamp=clamp
    ).requires_grad_(False)
    for name, tensor in (*layer.named_parameters(), *layer.named_buffers()):
        if "taps" not in name:
            tensor.normal_()
    layer.freeze()
    return PreparedLayer.of(layer)


def test_the_kernels_are_those_of_the_algorithm() -> None:
    """In double precision the sums of the module's text give the convolution."""
    torch.manual_seed(1)
    weight, x = torch.randn(2, 3, 3, 3).double(), torch.randn(3, 6, 6).double()
    inputs = torch.tensor(
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ]
    ).double()
    results = torch.tensor(
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
    ).double()
    factors = inputs @ x @ inputs.T
    products = torch.einsum("irc,rcio->orc", factors, wide_kernels(weight).view(6, 6, 3, 2))
    found = results @ products @ results.T
    assert torch.allclose(found, F.conv2d(x[None], weight)[0], atol=1e-12)


@pytest.mark.parametrize("shape", [(32, 32), (33, 35), (64, 18)])
@pytest.mark.parametrize("channels", [(288, 288), (512, 320)])
def test_a_map_is_the_convolution_up_to_a_little_more_rounding(
    operators: FusedOperators, channels: tuple[int, int], shape: tuple[int, int]
) -> None:
    layer = prepared(channels, shape, clamp=None)
    style, x = LayerStyle.of(layer, torch.randn(6)), torch.randn(1, *shape, channels[0])
    found = compute_map(operators, layer, style, x, keep=True, scratch=Scratch())
    assert found is not None and found.convolved is not None
    scaled = (x * style.scale).permute(0, 3, 1, 2).double()
    exact = F.conv2d(scaled, layer.weight.double(), padding=1).permute(0, 2, 3, 1)
    error = (found.convolved - exact).abs().max() / exact.abs().max()
    # Not as exact as what results are computed with, which is how one can tell the two apart.
    assert 2e-6 < error < CLOSE
    assert (found.convolved - exact).square().mean().sqrt() < 5e-6 * exact.square().mean().sqrt()
    plain = LayerPass(layer, style, x).known()
    assert plain.convolved is not None
    assert (plain.convolved - exact).abs().max() < 5e-6 * exact.abs().max()
    assert (found.result - plain.result).abs().max() <= CLOSE * plain.result.abs().max()


@pytest.mark.parametrize(("noisy", "clamp", "keep"), [(False, None, False), (True, 0.9, True)])
def test_noise_clamp_and_what_is_kept(
    operators: FusedOperators, noisy: bool, clamp: float | None, keep: bool
) -> None:
    layer = prepared((288, 288), (32, 40), noisy=noisy, clamp=clamp)
    style, x = LayerStyle.of(layer, torch.randn(6)), torch.randn(2, 32, 40, 288)
    found = compute_map(operators, layer, style, x, keep=keep, scratch=Scratch())
    assert found is not None and (found.convolved is not None) == keep
    plain = LayerPass(layer, style, x).result
    # The errors are those of the values before the clamp.
    open_layer = prepared((288, 288), (32, 40), noisy=noisy, clamp=None)
    largest = LayerPass(open_layer, style, x).result.abs().max()
    assert (found.result - plain).abs().max() <= CLOSE * largest
    assert clamp is None or found.result.abs().max() == plain.abs().max() == clamp


def test_the_buffers_are_used_again_and_leave_nothing_behind(operators: FusedOperators) -> None:
    scratch, made = Scratch(), []
    for shape in ((40, 40), (33, 35), (40, 40)):
        layer = prepared((288, 320), shape)
        style, x = LayerStyle.of(layer, torch.ones(6)), torch.ones(1, *shape, 288)
        found = compute_map(operators, layer, style, x, keep=False, scratch=scratch)
        alone = compute_map(operators, layer, style, x, keep=False, scratch=Scratch())
        assert found is not None and alone is not None
        assert torch.equal(found.result, alone.result)
        made.append(scratch.take("wide tiles", (1,), x).data_ptr())
    assert made[0] == made[1] == made[2]


def test_the_tiles_do_not_depend_on_the_number_of_threads(operators: FusedOperators) -> None:
    x, scale = torch.randn(2, 33, 20, 64), torch.randn(64)
    count, before = 2 * tiles_of(33, 20), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            tiles = torch.full((36, count, 64), torch.nan)
            operators.wide_tiles(x, scale, tiles)
            found.append(tiles)
    finally:
        torch.set_num_threads(before)
    assert count == 2 * 9 * 5 and torch.equal(*found)


@pytest.mark.parametrize(
    ("channels", "shape", "doubles"),
    [
        ((288, 288), (16, 16), False),  # reading the kernels would take longer
        ((288, 300), (32, 32), False),  # not whole chunks
        ((288, 288), (64, 64), True),
    ],
)
def test_other_layers_are_not_computed_so(
    operators: FusedOperators, channels: tuple[int, int], shape: tuple[int, int], doubles: bool
) -> None:
    layer = prepared(channels, shape, doubles=doubles)
    below = [side // 2 if doubles else side for side in shape]
    style, x = LayerStyle.of(layer, torch.randn(6)), torch.randn(1, *below, channels[0])
    assert compute_map(operators, layer, style, x, keep=False, scratch=Scratch()) is None
    assert (
        compute_map(None, prepared((288, 288), (32, 32)), style, x, keep=False, scratch=Scratch())
        is None
    )


@pytest.fixture(scope="module")
def generator() -> Generator:
    """Return a network with many channels up to its last block."""
    config = GeneratorConfig.standard(
        64, channel_base=1 << 15, channel_max=288, z_dim=8, w_dim=12, mapping_layers=2
    )
    return random_generator(config).freeze()


@pytest.mark.parametrize("is_fused", [True, False])
def test_an_image_of_a_large_network(
    generator: Generator, is_fused: bool, request: pytest.FixtureRequest
) -> None:
    operators = request.getfixturevalue("operators") if is_fused else None
    ws = random_ws(generator, 1)
    scratch = Scratch()
    for _ in range(2):
        image = ImagePass(generator, ws[0], 64, 3, operators, scratch=scratch).image()
        expected = generator.synthesis(ws)
        assert (image - expected).abs().max() <= CLOSE * expected.abs().max()


def test_results_are_not_computed_so(
    generator: Generator, operators: FusedOperators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image for a file, and features of a drag that nobody watches, are as they were."""

    def fail(self: FusedOperators, *_: Tensor) -> None:
        raise AssertionError("tiles of 4 x 4 results were computed")

    monkeypatch.setattr(FusedOperators, "wide_tiles", fail)
    ws = random_ws(generator, 1)
    generator.synthesis(ws)
    with pytest.raises(AssertionError, match="4 x 4"):
        ImagePass(generator, ws[0], 64, 3, operators)
    from stylegan2 import WindowSynthesis, plan_windows

    plan = plan_windows(generator.config, 64, 13, 1, least_crop=64)
    whole = WindowSynthesis(generator, 64, plan, ws[0], 3, operators)
    found = whole.run(ws[0], torch.tensor([[20, 30]]))
    assert plan.crop == 64 and found.values.isfinite().all()
