# SPDX-License-Identifier: GPL-3.0-or-later
"""Features with a known motion: smooth random waves that a latent moves as a whole.

For a real generator the true position of a point is unknown; here it follows from the latent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from engine.features.full_map import rows_by_autograd
from engine.features.source import Windows
from engine.solving.drag import drag
from engine.solving.methods.displacement import motion_directions
from engine.solving.options import DragOptions
from engine.solving.picture import Paths
from engine.solving.result import DragResult
from stylegan2 import Generator, GeneratorConfig

# A drag of ``ShiftGenerator``, in image pixels: the same displacement for both handles.
START = np.zeros((4, 8), dtype=np.float32)
HANDLES = np.array([[10.0, 20.0], [20.0, 30.0]], dtype=np.float32)
MOVE = np.array([6.0, -5.0], dtype=np.float32)

QUICK = DragOptions(
    method="draggan", latent_space="w+", num_layers=2, step_size=0.01, max_steps=100, patience=30
)


class Waves:
    """Channels that are sums of plane waves, defined at every real position."""

    def __init__(self, channels: int = 24, waves: int = 6, shortest_px: float = 7.0) -> None:
        generator = torch.Generator().manual_seed(5)
        angles = torch.rand(channels, waves, generator=generator) * 6.2832
        lengths = shortest_px * (1 + 2 * torch.rand(channels, waves, generator=generator))
        self._frequencies = torch.stack([angles.cos(), angles.sin()]) * 6.2832 / lengths
        self._phases = torch.rand(channels, waves, generator=generator) * 6.2832

    def map(self, rows: int, columns: int, shift: Tensor) -> Tensor:
        """Return ``C x rows x columns``: the waves, moved by ``shift`` (x, y) feature pixels.

        Args:
            rows: Height of the map.
            columns: Width of the map.
            shift: 2, or ``2 x ...`` that broadcasts against ``rows x columns x C x waves``.
        """
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        x, y = x[..., None, None] - shift[0], y[..., None, None] - shift[1]
        arguments = x * self._frequencies[0] + y * self._frequencies[1] + self._phases
        return arguments.sin().sum(-1).permute(2, 0, 1)


class _Mapping(nn.Module):
    """Has the mean of W as well, in whose image features are measured."""

    w_avg = torch.zeros(8)

    def __init__(self, spread: float) -> None:
        super().__init__()
        self._spread = spread

    def forward(self, z: Tensor, _label: Tensor | None) -> Tensor:
        """Return ``N x 4 x 8``."""
        return (self._spread * z)[:, None].repeat(1, ShiftGenerator.num_ws, 1)


class ShiftGenerator(nn.Module):
    """Stands in for a generator: the first two entries of w, summed over layers, move the features.

    The image is 32 px wide and 48 px high; the only block has half that size.
    """

    img_shape = (3, 48, 32)
    config = GeneratorConfig(img_resolution=4, start_shape=(24, 16), channels=(24,))
    resolutions = config.resolutions
    num_ws = 4
    w_dim = z_dim = 8
    c_dim = 0

    def __init__(self, spread_of_w: float = 0.1) -> None:
        """Make it; with the usual spread of W, random images differ by a few feature pixels."""
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.mapping = _Mapping(spread_of_w)
        self.waves = Waves()
        self.calls = 0

    def shift_of(self, ws: Tensor) -> Tensor:
        """Return the shift (x, y), feature pixels, of a latent ``num_ws x w_dim``."""
        return ws[:, :2].sum(0) * 10

    def features(self, ws: Tensor, resolution: int) -> Tensor:
        """Return ``1 x C x 24 x 16`` and count the call."""
        self.calls += 1
        return self.waves.map(24, 16, self.shift_of(ws[0]))[None]

    def synthesis(self, ws: Tensor, noise_mode: str, resolution: int) -> Tensor:
        """Return ``N x 3 x 24 x 16``, the first channels of the features."""
        return torch.stack([self.waves.map(24, 16, self.shift_of(one))[:3] for one in ws])


def as_generator(stand_in: object) -> Generator:
    """Return a stand-in, typed as the generator that it replaces.

    Args:
        stand_in: An object with the members of ``Generator`` that the tested code uses.
    """
    return cast(Generator, stand_in)


def paths_of(handles_px: Tensor, targets_px: Tensor) -> Paths:
    """Return the ways of plain handles, ``P x 2`` image pixels."""
    none = torch.zeros(len(handles_px))
    return Paths(homes_px=handles_px, targets_px=targets_px, radii_px=none, rims_px=none)


def quick_options(**changes: Any) -> DragOptions:
    """Return ``QUICK`` with changes."""
    return replace(QUICK, **changes)


def shift_drag(options: DragOptions = QUICK, **arguments: Any) -> DragResult:
    """Drag ``HANDLES`` by ``MOVE``."""
    generator = as_generator(ShiftGenerator())
    return drag(generator, START, HANDLES, HANDLES + MOVE, options, **arguments)


def motion_jacobian(windows: Windows, handles: Tensor, offsets: Tensor, change: Tensor) -> Tensor:
    """Return ``2 P x N``: the derivative of each handle's x and y by each entry of a leaf."""
    directions = motion_directions(windows, handles, offsets)
    return rows_by_autograd(windows.values, change, directions).transpose(0, 1).flatten(0, 1)
