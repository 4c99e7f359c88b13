# SPDX-License-Identifier: GPL-3.0-or-later
"""Tensors and numbers inside a pickle, read from the nodes of ``InertPickle``.

A tensor in a plain pickle is the call ``_rebuild_tensor_v2(storage, offset, size, stride, …)``; a
parameter is the call ``_rebuild_parameter(tensor, …)``. The storage is the call
``_load_from_bytes(b)``, where ``b`` is a complete file in the older format of ``torch.save``: five
pickles in a row (a magic number, the version of the format, facts about the machine that wrote it,
a reference to the only storage, a list with its key), the number of elements, and the elements.
``InertPickle`` reads those pickles too.

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
from torch import Tensor

from .inert_pickle import GlobalName, InertPickle, Node, OpcodeBudget, PersistentId
from .layout import MAX_RANK, check_finite
from .refusal import Refusal, damaged, printable, unsupported

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
TORCH_FORMAT_VERSION = 1001

# numpy has no bfloat16; its 16 bits are the upper half of the bits of a float32.
_FLOATS = {"HalfStorage": "<f2", "FloatStorage": "<f4", "DoubleStorage": "<f8"}
_STORAGES = {**_FLOATS, "BFloat16Storage": "<u2"}
_STORAGE_NAMES = frozenset(
    ("torch", f"{kind}Storage")
    for kind in ("Half", "BFloat16", "Float", "Double", "Long", "Int", "Short", "Char", "Byte")
) | {("torch", "BoolStorage")}

_SCALARS = {"f2": "<e", "f4": "<f", "f8": "<d", "i4": "<i", "i8": "<q", "u1": "<B", "b1": "<?"}


@dataclass(frozen=True, slots=True)
class TensorRecipe:
    """A tensor that has been checked and whose values have not been copied yet.

    Attributes:
        data: The bytes of its storage, a view into the file.
        dtype: numpy's name of the element type; "<u2" stands for bfloat16.
        offset: Index of the first element in the storage.
        size: The shape.
        stride: The stride of each dimension, in elements.
    """

    data: memoryview
    dtype: str
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self, key: str) -> Tensor:
        """Copy the values to a contiguous float32 tensor of the shape ``size``.

        Args:
            key: Name of the tensor for the message.

        Raises:
            Refusal: A value is infinite or NaN in float32.
        """
        flat = np.frombuffer(self.data, dtype=self.dtype)
        if self.dtype == "<u2":
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite
            aligned = torch.from_numpy(flat.astype(np.float32))
        tensor = aligned.as_strided(self.size, self.stride, self.offset).clone(
            memory_format=torch.contiguous_format
        )
        check_finite(key, tensor)
        return tensor


def is_call(value: object, module: str, name: str) -> bool:
    """Return whether a value is the node of a call of the global ``module.name``."""
    return isinstance(value, Node) and value.callee == GlobalName(module, name)


def read_tensor(value: object, key: str, budget: OpcodeBudget) -> TensorRecipe:
    """Check the node of a tensor or a parameter and return its recipe.

    Args:
        value: The value in the pickle.
        key: Name of the tensor for messages.
        budget: Counter of instructions, for the nested pickles.

    Raises:
        Refusal: The value is not a dense tensor of floating-point numbers that is within its
            storage.
    """
    if is_call(value, "torch._utils", "_rebuild_parameter"):
        assert isinstance(value, Node)
        value = value.arguments[0] if value.arguments else None
    if not is_call(value, "torch._utils", "_rebuild_tensor_v2"):
        raise damaged(f"has something other than a tensor as {key}")
    assert isinstance(value, Node)
    if len(value.arguments) < 4:
        raise damaged(f"is damaged: {key} has no shape")
    storage, offset, size, stride = value.arguments[:4]
    dtype, data = _read_storage(storage, key, budget)
    checked_size, checked_stride = _naturals(size, key), _naturals(stride, key)
    (checked_offset,) = _naturals((offset,), key)
    if len(checked_size) != len(checked_stride) or len(checked_size) > MAX_RANK:
        raise damaged(f"is damaged: {key} has a shape of {len(checked_size)} dimensions")
    elements = len(data) // np.dtype(dtype).itemsize
    reach = zip(checked_size, checked_stride, strict=True)
    last = checked_offset + sum((n - 1) * step for n, step in reach)
    # Without the last comparison, strides of zero could make a huge tensor from a small storage.
    if 0 in checked_size or last >= elements or math.prod(checked_size) > elements:
        raise damaged(f"is damaged: {key} is larger than its data")
    return TensorRecipe(data, dtype, checked_offset, checked_size, checked_stride)


def _naturals(values: object, key: str) -> tuple[int, ...]:
    if isinstance(values, tuple) and len(values) <= MAX_RANK:
        numbers = tuple(n for n in values if type(n) is int and n >= 0)
        if len(numbers) == len(values):
            return numbers
    raise damaged(f"is damaged: {key} has an impossible shape")


def _read_storage(node: object, key: str, budget: OpcodeBudget) -> tuple[str, memoryview]:
    """Return numpy's name of the element type and the bytes of a storage node."""
    if not is_call(node, "torch.storage", "_load_from_bytes"):
        raise damaged(f"is damaged: {key} has no data")
    assert isinstance(node, Node)
    data = _as_bytes(node.arguments[0] if node.arguments else None, key)
    machine = InertPickle(data, allowed=_STORAGE_NAMES, budget=budget, persistent_ids=True)
    values: list[object] = []
    position = 0
    for _ in range(5):
        value, position = machine.read(position)
        values.append(value)
    magic, version, system, reference, keys = values
    if magic != TORCH_MAGIC or version != TORCH_FORMAT_VERSION or not isinstance(system, dict):
        raise damaged(f"is damaged: the data of {key} is not in torch's format")
    if system.get("little_endian") is not True:
        raise unsupported("was written on a big-endian machine, which is not supported")
    dtype, elements = _storage_reference(reference, keys, key)
    if len(data) - position < 8:
        raise damaged(f"is truncated: the data of {key} is missing")
    (stored,) = struct.unpack_from("<q", data, position)
    content = data[position + 8 :]
    if stored != elements or len(content) != elements * np.dtype(dtype).itemsize:
        raise damaged(f"is damaged: the data of {key} does not have the declared size")
    return dtype, content


def _storage_reference(reference: object, keys: object, key: str) -> tuple[str, int]:
    """Return numpy's name of the element type and the number of elements of a storage.

    The reference is ``("storage", torch.FloatStorage, key, location, elements, view)``.
    """
    value = reference.value if isinstance(reference, PersistentId) else None
    if not isinstance(value, tuple) or len(value) not in (5, 6) or value[0] != "storage":
        raise damaged(f"is damaged: the data of {key} is not in torch's format")
    kind, name, elements = value[1], value[2], value[4]
    if not isinstance(kind, GlobalName) or type(elements) is not int or elements < 0:
        raise damaged(f"is damaged: the data of {key} is not in torch's format")
    whole = len(value) == 5 or value[5] is None
    # The type is checked first: comparing values that a file nests deeply could exceed the stack.
    if not whole or type(name) is not str or keys != [name]:
        raise damaged(f"is damaged: {key} is a view of other data")
    if kind.name not in _STORAGES:
        raise damaged(
            f"has {key} as {printable(kind.name)}, but floating-point numbers are expected"
        )
    return _STORAGES[kind.name], elements


def _as_bytes(value: object, key: str) -> memoryview:
    if isinstance(value, memoryview):
        return value
    if isinstance(value, Node) and value.callee == GlobalName("_codecs", "encode"):
        # Protocol 2 has no bytes type: they are written as text with one character per byte.
        text = value.arguments[0] if value.arguments else None
        if isinstance(text, str) and value.arguments[1:] == ("latin1",):
            try:
                return memoryview(text.encode("latin-1"))
            except UnicodeEncodeError:
                pass
    raise damaged(f"is damaged: {key} has no data")


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
    data = _as_bytes(node.arguments[1], key)
    if layout is None or len(data) != struct.calcsize(layout):
        raise failure
    (number,) = struct.unpack(layout, data)
    return float(number)
