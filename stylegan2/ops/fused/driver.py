# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading a cubin, and launching its kernels, by CUDA's driver, which every NVIDIA driver brings.

The driver uses the context that torch has made current on the calling thread.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import byref, c_uint, c_void_p
from pathlib import Path
from typing import Any

from .kernels import Size


class CudaModule:
    """The kernels of a cubin, for the GPU whose context is current when it is loaded."""

    def __init__(self, cubin: Path) -> None:
        """Load a cubin.

        Raises:
            OSError: There is no NVIDIA driver, or the file cannot be read.
            RuntimeError: The driver has refused the cubin.
        """
        name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
        self._cuda = ctypes.CDLL(name)
        self._module = c_void_p()
        # The data stay with this object: the driver may read them later.
        self._data = cubin.read_bytes()
        error = self._cuda.cuModuleLoadData(byref(self._module), self._data)
        if error:
            raise RuntimeError(f"{cubin.name} cannot be loaded: CUDA's error {error}")
        self._functions: dict[str, c_void_p] = {}

    def launch(
        self, name: str, grid: Size, block: Size, arguments: list[Any], stream: int | None
    ) -> int:
        """Launch a kernel; return 0 or the error code of the driver.

        Args:
            name: The kernel's name.
            grid: The size of the grid.
            block: The size of a block.
            arguments: The arguments, as objects of ctypes.
            stream: The address of the stream; None for the default one.
        """
        function = self._functions.get(name)
        if function is None:
            function = c_void_p()
            error: int = self._cuda.cuModuleGetFunction(
                byref(function), self._module, name.encode()
            )
            if error:
                return error
            self._functions[name] = function
        sizes = [c_uint(size) for size in (*grid, *block)]
        launched: int = self._cuda.cuLaunchKernel(
            function, *sizes, c_uint(0), c_void_p(stream), addresses_of(arguments), None
        )
        return launched


def addresses_of(arguments: list[Any]) -> Any:
    """Return an array with the address of each argument, as a launch takes it."""
    return (c_void_p * len(arguments))(*(ctypes.addressof(item) for item in arguments))
