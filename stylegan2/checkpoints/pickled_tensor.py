# SPDX-License-Identifier: GPL-3.0-or-later
"""Tensors and numbers inside a pickle, read from the nodes of ``InertPickle``.

A tensor is the call ``_rebuild_tensor_v2(storage, offset, size, stride, …)``; a parameter is the
call ``_rebuild_parameter(tensor, …)``. Where the storage is depends on the file; see ``storages``.

Reading has two steps. ``read_tensor`` checks everything and returns a ``TensorRecipe`` without
allocating memory, so that a caller can compare shapes and add up sizes first.
``TensorRecipe.tensor`` copies the values.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor

from .byte_source import ByteSource, Span
from .inert_pickle import GlobalName, Node
from .layout import MAX_RANK, check_finite
from .refusal import Refusal, damaged
from .storages import Storages, as_bytes

_SCALARS = {"f2": "<e", "f4": "<f", "f8": "<d", "i4": "<i", "i8": "<q", "u1": "<B", "b1": "<?"}
_ITEM_BYTES = {"<f2": 2, "<u2": 2, "<f4": 4, "<f8": 8}


@dataclass(frozen=True, slots=True)
class TensorRecipe:
    """A tensor that has been checked and whose values have not been copied yet.

    Attributes:
        data: The bytes from its first to its last element, still in the file.
        dtype: numpy's name of the element type; "<u2" stands for bfloat16.
        size: The shape.
        stride: The stride of each dimension, in elements.
    """

    data: ByteSource
    dtype: str
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """How many bytes of the file the values take."""
        return self.data.size

    def tensor(self, key: str) -> Tensor:
        """Copy the values to a contiguous float32 tensor of the shape ``size``.

        Args:
            key: Name of the tensor for the message.

        Raises:
            Refusal: A value is infinite or NaN in float32, or the file became shorter.
        """
        flat = np.frombuffer(self.data.read(0, self.data.size), dtype=self.dtype)
        if self.dtype == "<u2":
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        steps = tuple(step * flat.itemsize for step in self.stride)
        tensor = torch.empty(self.size)
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite
            tensor.numpy()[...] = as_strided(flat, self.size, steps, writeable=False)
        check_finite(key, tensor)
        return tensor


def recipe_of(
    data: ByteSource,
    dtype: str,
    offset: int,
    size: tuple[int, ...],
    stride: object,
    key: str,
    most_expanded: int = 0,
) -> TensorRecipe:
    """Return the recipe of a tensor after checking that it is within its storage.

    Args:
        data: The bytes of the storage.
        dtype: As in ``TensorRecipe``.
        offset: Index of the first element in the storage.
        size: The shape.
        stride: The stride of each dimension, in elements.
        key: Name of the tensor for messages.
        most_expanded: How many elements the tensor may have if it has more than its storage.

    Raises:
        Refusal: The shape is impossible, or larger than the data.
    """
    checked_size, checked_stride = naturals(size, key), naturals(stride, key)
    (checked_offset,) = naturals((offset,), key)
    if len(checked_size) != len(checked_stride) or len(checked_size) > MAX_RANK:
        raise damaged(f"is damaged: {key} has a shape of {len(checked_size)} dimensions")
    item = _ITEM_BYTES[dtype]
    elements = data.size // item
    reach = sum((n - 1) * step for n, step in zip(checked_size, checked_stride, strict=True))
    # Without the last comparison, strides of zero could make a huge tensor from a small storage.
    if (
        0 in checked_size
        or checked_offset + reach >= elements
        or math.prod(checked_size) > max(elements, most_expanded)
    ):
        raise damaged(f"is damaged: {key} is larger than its data")
    used = Span(data, checked_offset * item, (reach + 1) * item)
    # The stride of a single element does not matter, and may be larger than torch accepts.
    steps = zip(checked_size, checked_stride, strict=True)
    return TensorRecipe(used, dtype, checked_size, tuple(s if n > 1 else 1 for n, s in steps))


def is_call(value: object, module: str, name: str) -> bool:
    """Return whether a value is the node of a call of the global ``module.name``."""
    return isinstance(value, Node) and value.callee == GlobalName(module, name)


def is_tensor(value: object) -> bool:
    """Return whether a value is the node of a tensor or a parameter."""
    return is_call(value, "torch._utils", "_rebuild_parameter") or is_call(
        value, "torch._utils", "_rebuild_tensor_v2"
    )


def _description(value: object, key: str) -> tuple[object, ...]:
    """Return storage, offset, size and stride of the node of a tensor or a parameter."""
    if is_call(value, "torch._utils", "_rebuild_parameter"):
        assert isinstance(value, Node)
        value = value.arguments[0] if value.arguments else None
    if not is_call(value, "torch._utils", "_rebuild_tensor_v2"):
        raise damaged(f"has something other than a tensor as {key}")
    assert isinstance(value, Node)
    if len(value.arguments) < 4:
        raise damaged(f"is damaged: {key} has no shape")
    return value.arguments[:4]


def size_of(value: object) -> tuple[int, ...] | None:
    """Return the shape that a tensor's node states, unchecked; None if it states none."""
    size = _description(value, "a tensor")[2] if is_tensor(value) else None
    return size if isinstance(size, tuple) else None


def read_tensor(
    value: object, key: str, storages: Storages, most_expanded: int = 0
) -> TensorRecipe:
    """Check the node of a tensor or a parameter and return its recipe.

    Args:
        value: The value in the pickle.
        key: Name of the tensor for messages.
        storages: Where the file has the data of its tensors.
        most_expanded: As of ``recipe_of``.

    Raises:
        Refusal: The value is not a dense tensor of floating-point numbers that is within its
            storage.
    """
    storage, offset, size, stride = _description(value, key)
    dtype, data = storages.find(storage, key)
    (checked_offset,) = naturals((offset,), key)
    shape = naturals(size, key)
    return recipe_of(data, dtype, checked_offset, shape, stride, key, most_expanded)


def naturals(values: object, key: str) -> tuple[int, ...]:
    """Return a tuple of at most ``MAX_RANK`` integers, none negative.

    Args:
        values: The value in the pickle.
        key: Name of the tensor for the message.

    Raises:
        Refusal: It is something else.
    """
    if isinstance(values, tuple) and len(values) <= MAX_RANK:
        numbers = tuple(n for n in values if type(n) is int and n >= 0)
        if len(numbers) == len(values):
            return numbers
    raise damaged(f"is damaged: {key} has an impossible shape")


def read_number(value: object, key: str) -> float | None:
    """Return the number of an attribute of a pickled layer, or None if the attribute is None.

    Args:
        value: The value in the pickle: a plain number, a numpy scalar or None.
        key: Name of the attribute for messages.

    Raises:
        Refusal: The value is something else, or is not finite.
    """
    if value is None or type(value) in (int, float):
        number = value
    elif isinstance(value, Node) and value.callee.name == "scalar":
        number = _read_scalar(value, key)
    else:
        raise damaged(f"has something other than a number as {key}")
    if number is None:
        return None
    assert isinstance(number, int | float)
    if not math.isfinite(number):
        raise damaged(f"has a number that is not finite as {key}")
    return float(number)


def _read_scalar(node: Node, key: str) -> float:
    """Return the number of the node ``scalar(dtype, bytes)``.

    Its ``dtype`` is the node ``dtype("f8", …)`` with the state ``(3, "<", …)``.
    """
    failure: Refusal = damaged(f"is damaged: {key} is not a readable number")
    if len(node.arguments) != 2:
        raise failure
    dtype = node.arguments[0]
    if not is_call(dtype, "numpy", "dtype"):
        raise failure
    assert isinstance(dtype, Node)
    code = dtype.arguments[0] if dtype.arguments else None
    state = dtype.state
    little = isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", "|")
    layout = _SCALARS.get(code) if isinstance(code, str) and little else None
    data = as_bytes(node.arguments[1], key, None)
    if layout is None or data.size != struct.calcsize(layout):
        raise failure
    (number,) = struct.unpack(layout, data.read(0, data.size))
    return float(number)
