# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of the fused operators with tensors.

All tensors are contiguous float32 on the device of the operators. Maps are
``N x height x width x channels``. A tile is 2 x 2 outputs of Winograd's algorithm, and ``T`` is the
number of tiles of N maps; see ``winograd``.
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

from .driver import CudaModule
from .kernels import ActivationStructure, KernelLibrary, Where

# Columns of a panel, see ``product.h``.
PANEL = 32


@dataclass(frozen=True)
class Activation:
    """The steps after the convolution of a layer, and the tensors that they write.

    Attributes:
        factor: ``O``, factor of the convolved values: demodulation and gain.
        bias: ``O``, gain included.
        noise: ``h' w'`` for all maps or ``N h' w'``, strength and gain included; or None.
        inside: ``N h' w'``, 1 inside the image and 0 outside; None if all pixels are inside.
        slope: Slope of the leaky ReLU.
        clamp: Bound of the results, or None.
        result: ``N x h' x w' x O``, written by the operators.
        convolved: ``N x h' x w' x O``, the convolved values, written by the operators; None if the
            gradient with respect to the style is not needed.
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
    def structure(self) -> ActivationStructure:
        """The structure for the library; it is valid while this object exists."""
        count, height, width, channels = self.result.shape
        step = 0
        if self.noise is not None and self.noise.numel() == count * height * width:
            step = height * width
        return ActivationStructure(
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

    Every operator raises ``RuntimeError`` if CUDA reports an error.

    Attributes:
        device: Device of all tensors.
    """

    def __init__(self, library: Path, device: torch.device) -> None:
        """Load a library.

        Args:
            library: Path of the library or cubin, built for the device.
            device: Device of all tensors, a CPU or a CUDA GPU.

        Raises:
            OSError: The system cannot load the library.
            RuntimeError: CUDA cannot load the cubin.
            AttributeError: The library does not have the operators.
        """
        self.device = device
        if library.suffix == ".cubin":
            with torch.cuda.device(device):
                torch.cuda.current_stream().synchronize()  # the context must exist
                self._use(KernelLibrary(CudaModule(library).launch))
            return
        loaded = ctypes.CDLL(str(library))
        self._use(loaded)
        self._declare()

    @classmethod
    def of_kernels(cls, kernels: KernelLibrary, device: torch.device) -> FusedOperators:
        """Return the operators of kernels that are launched from here."""
        made = cls.__new__(cls)
        made.device = device
        made._use(kernels)
        return made

    def _use(self, loaded: Any) -> None:
        self._tiles = loaded.fused_tiles
        self._tiles_back = loaded.fused_tiles_back
        self._outputs = loaded.fused_outputs
        self._outputs_back = loaded.fused_outputs_back
        self._widened = loaded.fused_widened
        self._widened_back = loaded.fused_widened_back
        # Not every library has these.
        self._map_convolved = getattr(loaded, "map_convolved", None)
        self._map_widened = getattr(loaded, "map_widened", None)
        self._wide_tiles = getattr(loaded, "wide_tiles", None)
        self._wide_outputs = getattr(loaded, "wide_outputs", None)
        self._patch_costs = getattr(loaded, "patch_costs", None)

    def _declare(self) -> None:
        """Say what the functions of a library take."""
        pointer = c_void_p
        self._tiles.argtypes = (*(pointer,) * 3, *(c_int,) * 5, pointer)
        self._tiles_back.argtypes = (*(pointer,) * 5, *(c_int,) * 6, pointer)
        self._outputs.argtypes = (pointer,) * 3
        self._outputs_back.argtypes = (*(pointer,) * 4, c_int, pointer)
        self._widened.argtypes = (*(pointer,) * 3, *(c_int,) * 2, pointer)
        self._widened_back.argtypes = (*(pointer,) * 5, *(c_int,) * 3, pointer)
        for function in (self._map_convolved, self._map_widened):
            if function is not None:
                function.argtypes = (*(pointer,) * 4, c_int, pointer)
        if self._wide_tiles is not None and self._wide_outputs is not None:
            self._wide_tiles.argtypes = (*(pointer,) * 3, c_int64, *(c_int,) * 4, pointer)
            self._wide_outputs.argtypes = (pointer, c_int64, pointer, pointer)
        if self._patch_costs is not None:
            costs = (*(pointer,) * 5, c_float, pointer, *(c_int,) * 5, pointer)
            self._patch_costs.argtypes = costs

    def tiles(self, x: Tensor, scale: Tensor, padding: int, tiles: Tensor) -> None:
        """Scale the inputs and transform them for Winograd's algorithm.

        Args:
            x: ``N x h x w x C``, the inputs.
            scale: ``C``, a factor per channel.
            padding: Zeros around the map, 0 or 1.
            tiles: ``16 x T x C``, the result.
        """
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
        """Apply the adjoint of ``tiles`` to R cotangents per map.

        Args:
            tiles: ``16 x (R T) x C``, the cotangents of the transformed inputs.
            scale: ``C``, a factor per channel.
            given: ``N x h x w x C``, the inputs; read only if ``sums`` is not None.
            g: ``R N x h x w x C``, a result: the cotangents of the inputs.
            sums: ``R N x C``, a result: the gradient with respect to ``scale``, summed over the
                pixels; or None.
            padding: Zeros around the map, 0 or 1.
        """
        addresses = [_address(tensor) for tensor in (tiles, scale, given, g, sums)]
        self._do(self._tiles_back, *addresses, len(g), *given.shape, padding)

    def outputs(self, products: Tensor, activation: Activation) -> None:
        """Transform the matrix products ``16 x T x O`` to outputs and apply the activation."""
        self._do(self._outputs, _address(products), ctypes.byref(activation.structure))

    def outputs_back(
        self, g: Tensor, activation: Activation, products: Tensor, sums: Tensor | None
    ) -> None:
        """Compute the vector-Jacobian products of ``outputs`` for R cotangents per map.

        Args:
            g: ``R N x h' x w' x O``, the cotangents of the results.
            activation: The activation that ``outputs`` was called with.
            products: ``16 x (R T) x O``, a result: the cotangents of the matrix products.
            sums: ``R N x O``, a result if ``activation.convolved`` is not None: the convolved
                values times their cotangents, summed over the pixels.
        """
        structure = ctypes.byref(activation.structure)
        written = _address(products), _address(sums)
        self._do(self._outputs_back, _address(g), structure, *written, len(g))

    @property
    def has_maps(self) -> bool:
        """Whether there are ``map_convolved`` and ``map_widened``."""
        return self._map_convolved is not None

    def map_convolved(
        self, x: Tensor, scale: Tensor, kernels: Tensor, activation: Activation
    ) -> None:
        """Compute a layer that keeps the size of whole maps, matrix products included.

        Args:
            x: ``N x h x w x C``, the inputs.
            scale: ``C``, a factor per channel.
            kernels: ``16 x O / 32 x C x 32``, those of ``winograd_kernels`` in panels.
            activation: The steps after the convolution, and the results.
        """
        self._map(self._map_convolved, x, scale, kernels, activation)

    def map_widened(
        self, x: Tensor, scale: Tensor, kernels: Tensor, activation: Activation
    ) -> None:
        """Compute a layer that doubles the size of whole maps, matrix products included.

        Args:
            x: ``N x h x w x C``, the inputs.
            scale: ``C``, a factor per channel.
            kernels: ``9 O / 32 x C x 32``, the columns of ``kernel_matrix`` in panels.
            activation: The steps after the filter, and the results.
        """
        self._map(self._map_widened, x, scale, kernels, activation)

    @property
    def has_wide_tiles(self) -> bool:
        """Whether there are ``wide_tiles`` and ``wide_outputs``."""
        return self._wide_tiles is not None

    def wide_tiles(self, x: Tensor, scale: Tensor, tiles: Tensor) -> None:
        """Scale the inputs and transform them for tiles of 4 x 4 results; see ``wide_winograd``.

        Args:
            x: ``N x h x w x C``, whole maps; C is a multiple of 32.
            scale: ``C``, a factor per channel.
            tiles: ``36 x T x C``, the result; the 36 may have any distance from each other.
        """
        step = tiles.stride(0)
        self._do(self._wide_tiles, _address(x), _address(scale), _slabs(tiles), step, *x.shape)

    def wide_outputs(self, products: Tensor, activation: Activation) -> None:
        """Transform the products of tiles of 4 x 4 results, and apply the activation.

        Args:
            products: ``36 x T x O``, as for ``wide_tiles``; O is a multiple of 32.
            activation: The steps after the convolution, and the results.
        """
        structure = ctypes.byref(activation.structure)
        self._do(self._wide_outputs, _slabs(products), products.stride(0), structure)

    @property
    def has_patch_costs(self) -> bool:
        """Whether there is ``patch_costs``."""
        return self._patch_costs is not None

    def patch_costs(
        self,
        windows: Tensor,
        pixels: Tensor,
        fractions: Tensor,
        references: Tensor,
        first: Tensor,
        memory: float,
    ) -> Tensor:
        """Compare patches of windows with what is looked for in them.

        Args:
            windows: ``P x S x S x C``.
            pixels: ``P x K x Q`` int32, the upper left of the four pixels around each of the Q
                samples of the K patches of a window; indices into its pixels.
            fractions: ``P x K x Q x 2``, the place of each sample between these pixels (x, y).
            references: ``P x Q x C``, what is looked for.
            first: ``P x Q x C``, what is looked for as well.
            memory: The weight of the latter.

        Returns:
            ``P x K``, the weighted sums of absolute differences.
        """
        costs = windows.new_empty(pixels.shape[:2])
        read = [_address(t) for t in (windows, pixels, fractions, references, first)]
        sizes = (*pixels.shape, windows.shape[1], windows.shape[3])
        self._do(self._patch_costs, *read, memory, _address(costs), *sizes)
        return costs

    def _map(
        self, function: Any, x: Tensor, scale: Tensor, kernels: Tensor, activation: Activation
    ) -> None:
        addresses = [_address(tensor) for tensor in (x, scale, kernels)]
        self._do(function, *addresses, ctypes.byref(activation.structure), x.shape[3])

    def widened(
        self, products: Tensor, origins: Tensor, activation: Activation, size: tuple[int, int]
    ) -> None:
        """Add up a transposed convolution, and apply the low-pass filter and the activation.

        Args:
            products: ``(N h w) x (9 O)``, the 3 x 3 values that each input pixel adds to the result
                of the transposed convolution.
            origins: ``N x 2`` int32, the first pixel (x, y) of that result that the filter reads;
                (-1, -1) for the whole map.
            activation: The steps after the filter, and the results.
            size: Height and width of the input, ``(h, w)``.
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
        """Compute the vector-Jacobian products of ``widened`` for R cotangents per map.

        Args:
            g: ``R N x h' x w' x O``, the cotangents of the results.
            origins: ``N x 2`` int32, as for ``widened``.
            activation: The activation that ``widened`` was called with.
            products: ``(R N h w) x (9 O)``, a result: the cotangents of the products.
            sums: ``R N x O``, a result if ``activation.convolved`` is not None: the convolved
                values times their cotangents, summed over the pixels.
            size: Height and width of the input, ``(h, w)``.
        """
        structure = ctypes.byref(activation.structure)
        read, written = (_address(g), _address(origins)), (_address(products), _address(sums))
        self._do(self._widened_back, *read, structure, *written, len(g), *size)

    def _do(self, function: Any, *arguments: object) -> None:
        # Read at every call: the stream and the number of threads can differ between threads.
        where = Where(threads=torch.get_num_threads())
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


def _slabs(tensor: Tensor) -> int:
    """Return the address of slabs, ``K x T x C``, each of which is contiguous."""
    assert tensor[0].is_contiguous() and tensor.dtype == torch.float32
    return tensor.data_ptr()
