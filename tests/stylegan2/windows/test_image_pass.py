# SPDX-License-Identifier: GPL-3.0-or-later
"""An image computed layer by layer against the network's, and windows that are cut from it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stylegan2 import GeneratorConfig, ImagePass, WindowSynthesis, plan_windows
from stylegan2.ops.fused import FusedOperators, build

from ..making import random_generator, random_ws

# The lower blocks have as many channels as the fused operators are used for.
CONFIG = GeneratorConfig.standard(
    128, channel_base=2048, channel_max=64, z_dim=8, w_dim=12, mapping_layers=2
)
CASES = {
    "usual": CONFIG,
    "clamped": replace(CONFIG, conv_clamp=1.0),
    "without noise": replace(CONFIG, use_noise=False),
    "higher than wide": replace(CONFIG, start_shape=(4, 2)),
    "one image layer": replace(CONFIG, architecture="orig"),
    "grey": replace(CONFIG, img_channels=1),
}
LAYERS = 5


@pytest.fixture(scope="module", params=["torch", "fused"])
def operators(request: pytest.FixtureRequest, operators_folder: Path) -> FusedOperators | None:
    """Return the compiled operators, or None for torch's."""
    if request.param == "torch":
        return None
    if not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        pytest.skip("there is no C++ compiler")
    device = torch.device("cpu")
    return FusedOperators(build(operators_folder, device), device)


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("name", CASES)
def test_the_image_is_that_of_the_network(name: str, operators: FusedOperators | None) -> None:
    generator = random_generator(CASES[name]).freeze()
    ws = random_ws(generator, 1)
    for block in (16, 128):
        if not generator.config.has_rgb(block):
            with pytest.raises(ValueError, match="no toRGB layer"):
                ImagePass(generator, ws[0], block, 0, operators).image()
            continue
        found = ImagePass(generator, ws[0], block, LAYERS, operators).image()
        assert_close(found, generator.synthesis(ws, resolution=block))


@pytest.mark.parametrize("name", ["usual", "clamped", "higher than wide"])
@pytest.mark.parametrize("block", [16, 64, 128])
def test_windows_cut_from_it_are_the_ones_computed_alone(
    name: str, block: int, operators: FusedOperators | None
) -> None:
    generator = random_generator(CASES[name]).freeze()
    ws = random_ws(generator, 1)[0]
    height, width = generator.config.block_shape(128)
    corners = [(0, 0), (width - 13, 0), (0, height - 13), (width - 13, height - 13), (20, 41)]
    origins = torch.tensor(corners)
    plan = plan_windows(generator.config, 128, 13, 1, directions=2)
    assert plan.crop < block, "windows are cut above the last whole map, too"
    synthesis = WindowSynthesis(generator, 128, plan, ws, LAYERS, operators)
    alone = synthesis.run(ws, origins)
    cut = synthesis.run(ws, origins, ImagePass(generator, ws, block, LAYERS, operators))
    assert_close(cut.values, alone.values)
    torch.manual_seed(1)
    directions = torch.randn(2, *alone.values.shape)
    assert_close(cut.pull_back_each(directions), alone.pull_back_each(directions))
    one = directions[0]
    assert_close(cut.pull_back(one, {}), alone.pull_back(one, {}))


def test_what_the_image_has_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = random_generator(CONFIG).freeze()
    ws = random_ws(generator, 1)[0]
    plan = plan_windows(generator.config, 128, 13, 1, directions=2)
    synthesis = WindowSynthesis(generator, 128, plan, ws, LAYERS)
    image = ImagePass(generator, ws, 128, LAYERS)
    from stylegan2.windows.layer_pass import LayerPass

    def computed(self: LayerPass, x: Tensor) -> tuple[Tensor, Tensor]:
        raise AssertionError("a layer was computed")

    monkeypatch.setattr(LayerPass, "_compute", computed)
    synthesis.run(ws, torch.tensor([[20, 41]]), image)


def test_it_can_be_left_between_layers_and_has_no_residual_connections() -> None:
    generator = random_generator(CONFIG).freeze()
    ws = random_ws(generator, 1)[0]
    calls: list[int] = []

    def leave() -> None:
        calls.append(1)
        if len(calls) == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        ImagePass(generator, ws, 128, between=leave)
    resnet = random_generator(replace(CONFIG, architecture="resnet")).freeze()
    with pytest.raises(ValueError, match="resnet"):
        ImagePass(resnet, random_ws(resnet, 1)[0], 128)
