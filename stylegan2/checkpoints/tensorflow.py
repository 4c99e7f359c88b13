# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader for the networks of the TensorFlow versions of StyleGAN2.

Such a file has one to three pickled ``dnnlib.tflib.network.Network``: the generator that is
trained, the discriminator, and last the generator with averaged weights. The state of a network
contains its variables as numpy arrays, its components ``mapping`` and ``synthesis``, and the source
text of its class, which is never looked at.

The axes of the arrays are in another order, the kernels of upsampling convolutions are mirrored,
and the biases of the style layers lack the 1 that the PyTorch versions store. Sizes are derived
from the arrays. The constructor's arguments (``static_kwargs``) are read only where they change
what the network computes: forks added many others, which do not matter here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from .budget import Budget
from .families import TF_NETWORK, name_tensorflow
from .inert_pickle import Node
from .parts import Change, Found, Part
from .pickled_tensor import TensorRecipe, is_call, naturals, read_number, recipe_of
from .refusal import damaged, printable, unsupported
from .storages import as_bytes
from .values import entries_of

# A 1024 px generator has less than 200.
MAX_VARIABLES = 4096
_DTYPES = ("f2", "f4", "f8")
_SCOPE = re.compile(r"(\d{1,5})x(\d{1,5})/")
# What each argument must be, if it is given.
_EXPECTED: Mapping[str, tuple[object, ...]] = {
    "normalize_latents": (True,),
    "nonlinearity": ("lrelu",),
    "mapping_nonlinearity": ("lrelu",),
    "normalize_weights": (True,),
    "fused_modconv": (True, False),
}


def is_network(value: object) -> bool:
    """Return whether a value is the node of a network for TensorFlow."""
    return isinstance(value, Node) and value.callee == TF_NETWORK


def read_network(network: object, budget: Budget) -> Found:
    """Return the generator of a network for TensorFlow.

    Args:
        network: The node of the network.
        budget: Counters of the work.

    Raises:
        Refusal: It is not a StyleGAN2 generator, or is damaged.
    """
    mapping, synthesis = (_variables(network, name) for name in ("mapping", "synthesis"))
    scopes = _scopes(synthesis)
    if not scopes or f"{scopes[0]}/Conv/mod_weight" not in synthesis:
        raise name_tensorflow({*mapping, *synthesis, *_variables(network, None)})
    kwargs = entries_of(_state(network).get("static_kwargs")) or {}
    _check_arguments(kwargs)
    reader = _Reader(budget)
    for name, value in _variables(network, None).items():
        if name == "dlatent_avg":
            reader.add("mapping.w_avg", value)
        elif name != "lod":
            raise _surplus(name)
    for name, value in mapping.items():
        _add_mapping(reader, name, value)
    for name, value in synthesis.items():
        _add_synthesis(reader, name, value, scopes)
    multiplier = read_number(kwargs.get("mapping_lrmul", 0.01), "mapping_lrmul")
    return Found(
        container="TensorFlow pickle",
        parts=reader.parts,
        lr_multiplier=0.01 if multiplier is None else multiplier,
        conv_clamp=read_number(kwargs.get("conv_clamp"), "conv_clamp"),
    )


def _state(network: object) -> Mapping[object, object]:
    return (entries_of(network.state) if isinstance(network, Node) else None) or {}


def _variables(network: object, component: str | None) -> dict[str, object]:
    """Return the variables of a component of a network, or of the network itself, by name."""
    state = _state(network)
    if component is not None:
        state = _state((entries_of(state.get("components")) or {}).get(component))
    found = state.get("variables")
    if found is None:
        return {}
    if not isinstance(found, list) or len(found) > MAX_VARIABLES:
        raise damaged("is damaged: its variables are not a list, or too many")
    variables: dict[str, object] = {}
    for pair in found:
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise damaged("is damaged: a variable in it has no name")
        variables[pair[0]] = pair[1]
    return variables


def _scopes(synthesis: Mapping[str, object]) -> list[str]:
    """Return the names of the blocks, such as "8x8", in ascending order.

    Forks with images that are not square call them "10x6" or the like.
    """
    found = {match[0][:-1]: match for match in map(_SCOPE.match, synthesis) if match}
    return sorted(found, key=lambda scope: int(found[scope][1]) * int(found[scope][2]))


def _check_arguments(kwargs: Mapping[object, object]) -> None:
    for name, allowed in _EXPECTED.items():
        value = kwargs.get(name, allowed[0])
        if not isinstance(value, bool | str) or value not in allowed:
            shown = printable(value) if isinstance(value, str) else str(value is True)
            raise unsupported(f"was made with {name}={shown}, which is not supported")
    kernel = kwargs.get("resample_kernel")
    taps = kernel if isinstance(kernel, list | tuple) else ()
    if kernel is not None and [tap for tap in taps if type(tap) in (int, float)] != [1, 3, 3, 1]:
        raise unsupported("has a resampling filter other than [1, 3, 3, 1], which is not supported")


def _add_mapping(reader: _Reader, name: str, value: object) -> None:
    layer, _, kind = name.partition("/")
    key = {"LabelEmbed": "embed", "LabelConcat": "embed"}.get(layer)
    if re.fullmatch(r"Dense\d{1,3}", layer):
        key = f"fc{int(layer[5:])}"
    if key is None or kind not in ("weight", "bias"):
        raise _surplus(name)
    reader.add(f"mapping.{key}.{kind}", value, _transposed if kind == "weight" else None)


_LAYERS = {"Conv": "conv1", "Conv1": "conv1", "Conv0_up": "conv0", "ToRGB": "torgb", "Skip": "skip"}
_KINDS: dict[str, tuple[str, Change | None]] = {
    "bias": ("bias", None),
    "noise_strength": ("noise_strength", None),
    "mod_weight": ("affine.weight", lambda array: array.t()),
    "mod_bias": ("affine.bias", lambda array: array + 1),
}


def _add_synthesis(reader: _Reader, name: str, value: object, scopes: list[str]) -> None:
    noise = re.fullmatch(r"noise(\d{1,3})", name)
    if noise:
        # noise0 belongs to block 4, and every further block has two.
        index = int(noise[1])
        layer = "conv0" if index % 2 else "conv1"
        resolution = 4 << ((index + 1) // 2)
        reader.add(f"synthesis.b{resolution}.{layer}.noise_const", value, _first_plane)
        return
    scope, _, rest = name.partition("/")
    layer, _, kind = rest.partition("/")
    if scope not in scopes:
        raise _surplus(name)
    block = f"synthesis.b{4 << scopes.index(scope)}"
    if (layer, kind) == ("Const", "const"):
        reader.add(f"{block}.const", value, _first)
        return
    found = _LAYERS.get(layer)
    if found is not None and kind == "weight":
        mirrored = layer in ("Conv0_up", "Skip")
        reader.add(f"{block}.{found}.weight", value, _kernel_up if mirrored else _kernel)
    elif found is not None and kind in _KINDS:
        last, change = _KINDS[kind]
        reader.add(f"{block}.{found}.{last}", value, change)
    else:
        raise _surplus(name)


def _transposed(array: Tensor) -> Tensor:
    return array.t()


def _first(array: Tensor) -> Tensor:
    return array[0]


def _first_plane(array: Tensor) -> Tensor:
    return array[0, 0]


def _kernel(array: Tensor) -> Tensor:
    """From height x width x inputs x outputs to outputs x inputs x height x width."""
    return array.permute(3, 2, 0, 1)


def _kernel_up(array: Tensor) -> Tensor:
    return array.permute(3, 2, 0, 1).flip(2, 3)


def _surplus(name: str) -> Exception:
    return unsupported(
        f"has the variable {printable(name)}, which no StyleGAN2 generator has, so it is another "
        "network"
    )


class _Reader:
    """The parts of a generator that were read so far."""

    def __init__(self, budget: Budget) -> None:
        self.parts: dict[str, Part] = {}
        self._budget = budget

    def add(self, key: str, value: object, change: Change | None = None) -> None:
        """Add the part of a key, made from an array by a change."""
        self.parts[key] = Part(self._recipe(value, key), change)

    def _recipe(self, value: object, key: str) -> TensorRecipe:
        dtype, size, fortran, data = _array(value, key)
        found = as_bytes(data, key, self._budget)
        stride: list[int] = []
        step = 1
        for length in size if fortran else reversed(size):
            stride.append(step)
            step *= length
        ordered = tuple(stride if fortran else reversed(stride))
        return recipe_of(found, dtype, 0, size, ordered, key)


def _array(value: object, key: str) -> tuple[str, tuple[int, ...], bool, object]:
    """Return element type, shape, order and bytes of a pickled numpy array.

    It is the call ``_reconstruct(ndarray, (0,), b"b")`` with the state
    ``(1, shape, dtype, is_fortran, bytes)``. A single number is the call ``scalar(dtype, bytes)``.
    """
    if isinstance(value, Node) and value.callee.name == "scalar" and len(value.arguments) == 2:
        return _dtype(value.arguments[0], key), (), False, value.arguments[1]
    is_array = isinstance(value, Node) and value.callee.name == "_reconstruct"
    state = value.state if isinstance(value, Node) and is_array else None
    if not isinstance(state, tuple) or len(state) != 5 or type(state[3]) is not bool:
        raise damaged(f"has something other than an array as {key}")
    _, shape, dtype, fortran, data = state
    return _dtype(dtype, key), naturals(shape, key), fortran, data


def _dtype(node: object, key: str) -> str:
    """Return numpy's name of a floating-point type from the node of a dtype."""
    is_dtype = isinstance(node, Node) and is_call(node, "numpy", "dtype")
    arguments, state = (node.arguments, node.state) if isinstance(node, Node) else ((), None)
    code = arguments[0] if is_dtype and arguments else None
    little = isinstance(state, tuple) and len(state) > 1 and state[1] == "<"
    if not isinstance(code, str) or code not in _DTYPES or not little:
        raise damaged(f"has {key} as something other than floating-point numbers")
    return "<" + code
