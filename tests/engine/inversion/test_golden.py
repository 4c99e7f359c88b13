# SPDX-License-Identifier: GPL-3.0-or-later
"""A linear model, whose latent of a picture is known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.inversion.alignment import Alignment
from engine.inversion.solve import InversionOptions, invert

SIDE, ROWS, WIDTH = 16, 2, 6


class LinearModel(nn.Module):
    """A generator whose image is a linear map of its W+, which is the identity of its Z."""

    z_dim, c_dim, w_dim, num_ws = WIDTH, 0, WIDTH, ROWS
    resolutions, img_shape = (SIDE,), (3, SIDE, SIDE)

    def __init__(self) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(4)
        basis = torch.randn(3 * SIDE * SIDE, ROWS * WIDTH, generator=source)
        basis = torch.linalg.qr(basis).Q * 3.0
        self.basis = nn.Parameter(basis, requires_grad=False)

    def mapping(self, z: Tensor, _label: Any = None, truncation_psi: float = 1.0) -> Tensor:
        return (z * truncation_psi)[:, None].repeat(1, ROWS, 1)

    mapping.w_avg = torch.zeros(WIDTH)  # type: ignore[attr-defined]

    def synthesis(self, ws: Tensor, resolution: int | None = None, **_options: Any) -> Tensor:
        return (ws.flatten(1) @ self.basis.T).reshape(-1, 3, SIDE, SIDE)


def test_the_latent_of_a_linear_models_picture_is_the_least_squares_one() -> None:
    torch.set_num_threads(1)
    model: Any = LinearModel()
    latent = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(9)).repeat(ROWS, 1)
    latent = latent + 0.2 * torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(8))
    image = model.synthesis(latent[None])[0].clamp(-1, 1)
    pixels = ((image + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    values = torch.from_numpy(pixels).permute(2, 0, 1).flatten() / 127.5 - 1
    expected = torch.linalg.lstsq(model.basis, values[:, None]).solution.reshape(ROWS, WIDTH)
    free = InversionOptions(steps=300, align=False, layer_price=0.0, distance_price=0.0)
    found = invert(model, pixels, Alignment.whole(SIDE, SIDE), free)
    np.testing.assert_allclose(found.latent, expected.numpy(), atol=0.03)
    assert found.error < 0.005


def test_the_price_on_layers_brings_them_together() -> None:
    torch.set_num_threads(1)
    model: Any = LinearModel()
    latent = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(3))
    image = model.synthesis(latent[None])[0].clamp(-1, 1)
    pixels = ((image + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()

    def parting(price: float) -> float:
        options = InversionOptions(steps=100, align=False, layer_price=price)
        found = invert(model, pixels, Alignment.whole(SIDE, SIDE), options)
        return float(np.abs(found.latent[0] - found.latent[1]).mean())

    assert parting(1.0) < 0.5 * parting(0.0)
