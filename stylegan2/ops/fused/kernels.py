# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions of ``border.h`` for kernels that were compiled alone, without their launches.

``fused.cu`` launches its kernels itself if CUDA's compiler has made a library of it. NVRTC compiles
kernels only; this module then does the same as the functions at the end of that file.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_float, c_int, c_int64, c_void_p
from typing import Any


class Where(ctypes.Structure):
    """The structure ``Where`` of ``border.h``."""

    _fields_ = (("threads", c_int), ("device", c_int), ("stream", c_void_p))


class ActivationStructure(ctypes.Structure):
    """The structure ``Activation`` of ``border.h``."""

    _fields_ = (
        ("factor", c_void_p),
        ("bias", c_void_p),
        ("noise", c_void_p),
        ("noise_step", c_int64),
        ("inside", c_void_p),
        ("slope", c_float),
        ("clamp", c_float),
        ("result", c_void_p),
        ("convolved", c_void_p),
        ("maps", c_int),
        ("height", c_int),
        ("width", c_int),
        ("channels", c_int),
    )


# As in fused.cu: the channels and lanes of a block, and the most blocks along z.
_CHANNELS, _LANES, _MOST_BLOCKS = 32, 8, 64

# The size of a grid or of a block.
Size = tuple[int, int, int]
# Launches a kernel by its name: the grid, the block, the arguments, and the stream's address.
# Returns 0 or an error code.
Launch = Callable[[str, Size, Size, list[Any], int | None], int]


def tiles_along(results: int) -> int:
    """Return the number of tiles, of two results each, along one axis."""
    return (results + 1) // 2


def grid_for(maps: int, channels: int, items: int, *, together: bool) -> Size:
    """Return the grid for ``items`` of each map; one block has all of them if ``together``."""
    wanted = -(-items // _LANES)
    along = 1 if together else min(wanted, _MOST_BLOCKS)
    return -(-channels // _CHANNELS), maps, along


class KernelLibrary:
    """The functions of ``border.h``; each returns 0 or the error code of the launch.

    Addresses are integers or None, structures are references to them.
    """

    def __init__(self, launch: Launch) -> None:
        """Take the function that launches a kernel."""
        self._launch = launch

    def fused_tiles(
        self,
        x: int,
        scale: int,
        tiles: int,
        maps: int,
        height: int,
        width: int,
        channels: int,
        padding: int,
        where: Any,
    ) -> int:
        """Launch ``tiles_kernel``."""
        count = _down(height, padding) * _down(width, padding)
        grid = grid_for(maps, channels, count, together=False)
        pointers = [c_void_p(x), c_void_p(scale), c_void_p(tiles)]
        return self._do("tiles_kernel", grid, where, pointers, height, width, channels, padding)

    def fused_tiles_back(
        self,
        tiles: int,
        scale: int,
        given: int,
        g: int,
        sums: int | None,
        directions: int,
        maps: int,
        height: int,
        width: int,
        channels: int,
        padding: int,
        where: Any,
    ) -> int:
        """Launch ``tiles_back_kernel``."""
        quads = (_down(height, padding) + 1) * (_down(width, padding) + 1)
        grid = grid_for(directions, channels, quads, together=sums is not None)
        pointers = [c_void_p(address) for address in (tiles, scale, given, g, sums)]
        sizes = (maps, height, width, channels, padding)
        return self._do("tiles_back_kernel", grid, where, pointers, *sizes)

    def fused_outputs(self, products: int, activation: Any, where: Any) -> int:
        """Launch ``outputs_kernel``."""
        a = _of(activation)
        count = tiles_along(a.height) * tiles_along(a.width)
        grid = grid_for(a.maps, a.channels, count, together=False)
        return self._do("outputs_kernel", grid, where, [c_void_p(products), a])

    def fused_outputs_back(
        self, g: int, activation: Any, products: int, sums: int | None, directions: int, where: Any
    ) -> int:
        """Launch ``outputs_back_kernel``."""
        a = _of(activation)
        count = tiles_along(a.height) * tiles_along(a.width)
        grid = grid_for(directions, a.channels, count, together=a.convolved is not None)
        arguments = [c_void_p(g), a, c_void_p(products), c_void_p(sums)]
        return self._do("outputs_back_kernel", grid, where, arguments)

    def fused_widened(
        self, products: int, origins: int, activation: Any, height: int, width: int, where: Any
    ) -> int:
        """Launch ``widened_kernel``."""
        a = _of(activation)
        grid = grid_for(a.maps, a.channels, a.height * a.width, together=False)
        arguments = [c_void_p(products), c_void_p(origins), a]
        return self._do("widened_kernel", grid, where, arguments, height, width)

    def fused_widened_back(
        self,
        g: int,
        origins: int,
        activation: Any,
        products: int,
        sums: int | None,
        directions: int,
        height: int,
        width: int,
        where: Any,
    ) -> int:
        """Launch ``widened_back_kernel``."""
        a = _of(activation)
        grid = grid_for(directions, a.channels, height * width, together=a.convolved is not None)
        arguments = [c_void_p(g), c_void_p(origins), a, c_void_p(products), c_void_p(sums)]
        return self._do("widened_back_kernel", grid, where, arguments, height, width)

    def _do(self, name: str, grid: Size, where: Any, arguments: list[Any], *sizes: int) -> int:
        stream: int | None = where._obj.stream
        block = (_CHANNELS, _LANES, 1)
        return self._launch(name, grid, block, [*arguments, *map(c_int, sizes)], stream)


def _down(side: int, padding: int) -> int:
    return tiles_along(side - 2 + 2 * padding)


def _of(activation: Any) -> ActivationStructure:
    """Return the structure behind a reference."""
    found: ActivationStructure = activation._obj
    return found
