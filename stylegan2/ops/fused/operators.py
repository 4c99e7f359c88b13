# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiled operators, called with tensors.

All tensors are contiguous float32 on the operators' device, maps ``N x height x width x channels``; a
tile is two by two outputs of Winograd's algorithm, see ``winograd.py``.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
from ctypes import c_float, c_int, c_int64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class _Where(ctypes.Structure):
    """``Where`` of ``border.h``."""

    _fields_ = (("threads", c_int), ("device", c_int), ("stream", c_void_p))


class _Activation(ctypes.Structure):
    """``Activation`` of ``border.h``."""

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


@dataclass(frozen=True)
class Activation:
    """What follows a layer's convolution, and where its values go.

    Attributes:
        factor: ``O``, of the convolved values: demodulation and gain.
        bias: ``O``, with the gain.
        noise: with its strength and the gain: ``h' w'``, or ``N h' w'``; None without.
        inside: 1 inside the image, ``N h' w'``; None if all is.
        slope: of the leaky ReLU.
        clamp: bound of the results, or None.
        result: ``N x h' x w' x O``, to be written.
        convolved: likewise, what the derivative needs; None if it will not be asked for.
    """

    factor: Tensor
    bias: Tensor
    noise: Tensor | None
    inside: Tensor | None
    slope: float
    clamp: float | None
    result: Tensor
    convolved: Tensor | None

    @property
    def structure(self) -> _Activation:
        """For the library, valid as long as this object is."""
        count, height, width, channels = self.result.shape
        step = 0
        if self.noise is not None and self.noise.numel() == count * height * width:
            step = height * width
        return _Activation(
            factor=_address(self.factor),
            bias=_address(self.bias),
            noise=_address(self.noise),
            noise_step=step,
            inside=_address(self.inside),
            slope=self.slope,
            clamp=math.inf if self.clamp is None else self.clamp,
            result=_address(self.result),
            convolved=_address(self.convolved),
            maps=count,
            height=height,
            width=width,
            channels=channels,
        )


class FusedOperators:
    """The operators of a compiled library.

    Raises RuntimeError from any of them, if the GPU cannot do it.

    Attributes:
        device: where the tensors are to be.
    """

    def __init__(self, library: Path, device: torch.device) -> None:
        """Load a library that was built for the device.

        Raises:
            OSError: the system cannot load it.
            AttributeError: it is another library.
        """
        self.device = device
        loaded = ctypes.CDLL(str(library))
        self._tiles = loaded.fused_tiles
        self._tiles_back = loaded.fused_tiles_back
        self._outputs = loaded.fused_outputs
        self._outputs_back = loaded.fused_outputs_back
        self._widened = loaded.fused_widened
        self._widened_back = loaded.fused_widened_back
        pointer = c_void_p
        self._tiles.argtypes = (*(pointer,) * 3, *(c_int,) * 5, pointer)
        self._tiles_back.argtypes = (*(pointer,) * 5, *(c_int,) * 6, pointer)
        self._outputs.argtypes = (pointer,) * 3
        self._outputs_back.argtypes = (*(pointer,) * 4, c_int, pointer)
        self._widened.argtypes = (*(pointer,) * 3, *(c_int,) * 2, pointer)
        self._widened_back.argtypes = (*(pointer,) * 5, *(c_int,) * 3, pointer)

    def tiles(self, x: Tensor, scale: Tensor, padding: int, tiles: Tensor) -> None:
        """Inputs ``N x h x w x C``, scaled by ``C``, to ``tiles``, ``16 x T x C``."""
        self._do(self._tiles, _address(x), _address(scale), _address(tiles), *x.shape, padding)

    def tiles_back(
        self,
        tiles: Tensor,
        scale: Tensor,
        given: Tensor,
        g: Tensor,
        sums: Tensor | None,
        padding: int,
    ) -> None:
        """The transposed, for R directions.

        Args:
            tiles: ``16 x (R T) x C``.
            given: ``N x h x w x C``, the inputs; read only for the sums.
            g: ``R N x h x w x C``, to be written.
            sums: ``R N x C``, to be written: over the pixels, the derivative with respect to scale.
        """
        addresses = [_address(tensor) for tensor in (tiles, scale, given, g, sums)]
        self._do(self._tiles_back, *addresses, len(g), *given.shape, padding)

    def outputs(self, products: Tensor, activation: Activation) -> None:
        """From the products, ``16 x T x O``, to the activation's results."""
        self._do(self._outputs, _address(products), ctypes.byref(activation.structure))

    def outputs_back(
        self, g: Tensor, activation: Activation, products: Tensor, sums: Tensor | None
    ) -> None:
        """The transposed, for R directions.

        Args:
            g: ``R N x h' x w' x O``, what the results are multiplied with.
            products: ``16 x (R T) x O``, to be written.
            sums: ``R N x O``, to be written if the convolved were kept: over the pixels, these times
                what they are multiplied with.
        """
        structure = ctypes.byref(activation.structure)
        written = _address(products), _address(sums)
        self._do(self._outputs_back, _address(g), structure, *written, len(g))

    def widened(
        self, products: Tensor, origins: Tensor, activation: Activation, size: tuple[int, int]
    ) -> None:
        """From each input pixel's 3 x 3 outputs through the low-pass filter to the results.

        Args:
            products: ``(N h w) x (9 O)``.
            origins: ``N x 2`` int32, the first pixel (x, y) of the transposed convolution's result
                that the filter reads; -1 for the whole map.
            size: h and w.
        """
        structure = ctypes.byref(activation.structure)
        self._do(self._widened, _address(products), _address(origins), structure, *size)

    def widened_back(
        self,
        g: Tensor,
        origins: Tensor,
        activation: Activation,
        products: Tensor,
        sums: Tensor | None,
        size: tuple[int, int],
    ) -> None:
        """The transposed; g and sums as for ``outputs_back``, products ``(R N h w) x (9 O)``."""
        structure = ctypes.byref(activation.structure)
        read, written = (_address(g), _address(origins)), (_address(products), _address(sums))
        self._do(self._widened_back, *read, structure, *written, len(g), *size)

    def _do(self, function: Any, *arguments: object) -> None:
        # As it is now: another thread may have another stream, or other numbers of threads.
        where = _Where(threads=torch.get_num_threads())
        device: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if self.device.type == "cuda":
            stream = torch.cuda.current_stream(self.device)
            where.device, where.stream = stream.device_index, stream.cuda_stream
            device = torch.cuda.device(self.device)
        with device:
            error: int = function(*arguments, ctypes.byref(where))
        if error:
            raise RuntimeError(f"{function.__name__} failed with CUDA's error {error}")


def _address(tensor: Tensor | None) -> int | None:
    if tensor is None:
        return None
    assert tensor.is_contiguous() and tensor.dtype in (torch.float32, torch.int32)
    return tensor.data_ptr()
