# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader for pickled PyTorch modules of the StyleGAN2-ADA and StyleGAN3 repositories.

Their snapshots are pickled dictionaries of networks. ``G_ema``, the generator with averaged
weights, is the one that synthesises images. Each module is pickled as a call of
``torch_utils.persistence._reconstruct_persistent_obj`` with a description that contains the *source
text* of the module's class; the original software executes that text. This reader never looks at
it: the ``state`` of the description is the attribute dictionary of the module, which is enough.

Constants are read from the attributes of the layers, because the defaults of the constructors
differ between the code bases that write this format. Sizes are derived from the tensors. Modules
are found by known names down to a fixed depth, so cycles or repeatedly shared parts in a file cost
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import get_args

import torch

from ..network.config import GREATEST_RESOLUTION, LEAST_RESOLUTION, Architecture
from ..network.layers import GAIN
from ..ops import filter_taps
from .families import name_family
from .inert_pickle import Node
from .layout import MAX_MAPPING_LAYERS, RESAMPLE_FILTER
from .parts import Found, Part
from .pickled_tensor import TensorRecipe, is_call, read_number, read_tensor
from .refusal import damaged, printable, unsupported
from .storages import Storages
from .values import entries_of

PERSISTENCE_VERSION = 6
# Parameters, buffers or submodules of one module; a block or a mapping network has a dozen.
MAX_MEMBERS = 256


@dataclass(frozen=True, slots=True)
class PickledModule:
    """One ``torch.nn.Module`` in the file.

    Attributes:
        class_name: Name of its class according to the file.
        state: Its attributes by name.
        tensors: Its own parameters and buffers by name, not checked yet.
        children: Its submodules by name, not checked yet.
    """

    class_name: str
    state: Mapping[object, object]
    tensors: Mapping[object, object]
    children: Mapping[object, object]


def is_module(value: object) -> bool:
    """Return whether a value is the node of a pickled module."""
    return is_call(value, "torch_utils.persistence", "_reconstruct_persistent_obj")


def read_generator(value: object, storages: Storages, container: str) -> Found:
    """Return the generator that a node describes.

    Args:
        value: The value in the pickle.
        storages: Where the file has the data of its tensors.
        container: Name of the format for people.

    Raises:
        Refusal: It is not a StyleGAN2 generator; the reason says what was found.
    """
    root = read_module(value, "G_ema")
    missing = {"mapping", "synthesis"} - set(root.children)
    synthesis = None if missing else read_module(root.children["synthesis"], "synthesis")
    if synthesis is None or "b4" not in synthesis.children:
        raise name_family(root.class_name, root.children, synthesis.children if synthesis else {})
    collector = Collector(storages)
    _collect(root, collector)
    facts = collector.facts
    facts.check()
    return Found(
        container=container,
        parts={key: Part(recipe) for key, recipe in collector.recipes.items()},
        lr_multiplier=facts.lr_multiplier,
        conv_clamp=facts.conv_clamp,
        architecture=next(iter(facts.architectures), None),
    )


def read_module(value: object, name: str) -> PickledModule:
    """Return the module that a node describes.

    Args:
        value: The value in the pickle.
        name: Of the module, for messages.

    Raises:
        Refusal: It is not a module, or is damaged.
    """
    if not is_call(value, "torch_utils.persistence", "_reconstruct_persistent_obj"):
        raise unsupported(f"has no network module as {name}, so it is not a StyleGAN2 checkpoint")
    assert isinstance(value, Node)
    meta = entries_of(value.arguments[0]) if len(value.arguments) == 1 else None
    if meta is None or meta.get("type") != "class":
        raise damaged(f"is damaged: {name} is not described as a class")
    version = meta.get("version")
    if version != PERSISTENCE_VERSION:
        shown = version if isinstance(version, int) else "unknown"
        raise unsupported(f"has modules of version {shown}, but {PERSISTENCE_VERSION} is expected")
    class_name, state = meta.get("class_name"), entries_of(meta.get("state"))
    if not isinstance(class_name, str) or state is None:
        raise damaged(f"is damaged: {name} has no state")
    parts = [entries_of(state.get(part)) for part in ("_parameters", "_buffers", "_modules")]
    parameters, buffers, children = parts
    if parameters is None or buffers is None or children is None:
        raise damaged(f"is damaged: {name} is not a torch module")
    if max(len(parameters), len(buffers), len(children)) > MAX_MEMBERS:
        raise damaged(f"is damaged: {name} has more parts than any network")
    return PickledModule(class_name, state, {**parameters, **buffers}, children)


class _Facts:
    """The learning-rate multipliers and clamps of all layers, the architectures of all blocks."""

    def __init__(self) -> None:
        self.lr_multipliers: set[float] = set()
        self.conv_clamps: set[float | None] = set()
        self.architectures: set[str] = set()

    def check(self) -> None:
        """Raise ``Refusal`` if the layers do not have one multiplier and one clamp in common."""
        if not self.lr_multipliers:
            raise unsupported("has no layers in its mapping network")
        if len(self.lr_multipliers) != 1 or len(self.conv_clamps) != 1:
            raise unsupported("has layers of different clamp or learning-rate multiplier")
        if len(self.architectures) != 1:
            raise unsupported("has blocks of different architectures")

    @property
    def lr_multiplier(self) -> float:
        return next(iter(self.lr_multipliers))

    @property
    def conv_clamp(self) -> float | None:
        return next(iter(self.conv_clamps))


class Collector:
    """The tensors and constants of the modules read so far.

    Args:
        storages: Where the file has the data of its tensors.
    """

    def __init__(self, storages: Storages) -> None:
        self.recipes: dict[str, TensorRecipe] = {}
        self.facts = _Facts()
        self._storages = storages

    def take(self, module: PickledModule, prefix: str) -> None:
        """Add the tensors of one module; check its resampling filter, which is not kept."""
        for name, value in module.tensors.items():
            key = f"{prefix}.{name if isinstance(name, str) else '?'}"
            if value is None:
                continue
            recipe = read_tensor(value, printable(key), self._storages)
            if name != RESAMPLE_FILTER:
                self.recipes[key] = recipe
            elif not _is_usual_filter(recipe, key):
                raise unsupported(
                    f"has a resampling filter other than [1, 3, 3, 1] in {prefix}, "
                    "which is not supported"
                )

    def fully_connected(self, value: object, prefix: str, *, activation: str) -> float:
        """Add a fully connected layer and return its learning-rate multiplier."""
        layer = read_module(value, prefix)
        expect_parts(layer, prefix, ())
        self.take(layer, prefix)
        expect(layer, prefix, "activation", activation)
        weight = self.recipes.get(f"{prefix}.weight")
        multiplier = read_number(layer.state.get("bias_gain"), f"{prefix}.bias_gain")
        gain = read_number(layer.state.get("weight_gain"), f"{prefix}.weight_gain")
        if weight is None or len(weight.size) != 2 or multiplier is None or gain is None:
            raise damaged(f"is damaged: {prefix} is not a fully connected layer")
        if not math.isclose(gain, multiplier / math.sqrt(weight.size[1]), rel_tol=1e-6):
            raise unsupported(f"has an unusual weight gain of {gain:g} in {prefix}")
        return multiplier

    def affine(self, layer: PickledModule, prefix: str) -> None:
        """Add the fully connected layer from w to the style of a layer."""
        key = f"{prefix}.affine"
        expect_parts(layer, prefix, ("affine",))
        if self.fully_connected(layer.children.get("affine"), key, activation="linear") != 1:
            raise unsupported(f"has an unusual learning-rate multiplier in {key}")

    def convolution(self, value: object, prefix: str) -> None:
        """Add a modulated convolution."""
        layer = read_module(value, prefix)
        self.take(layer, prefix)
        expect(layer, prefix, "activation", "lrelu")
        expect(layer, prefix, "up", 2 if prefix.endswith("conv0") else 1)
        expect(layer, prefix, "use_noise", f"{prefix}.noise_const" in self.recipes)
        gain = read_number(layer.state.get("act_gain"), f"{prefix}.act_gain")
        if gain is not None and not math.isclose(gain, GAIN, rel_tol=1e-6):
            raise unsupported(f"has an unusual activation gain of {gain:g} in {prefix}")
        self._clamp(layer, prefix)
        self.affine(layer, prefix)

    def to_rgb(self, value: object, prefix: str) -> None:
        """Add a toRGB layer."""
        layer = read_module(value, prefix)
        self.take(layer, prefix)
        weight = self.recipes.get(f"{prefix}.weight")
        gain = read_number(layer.state.get("weight_gain"), f"{prefix}.weight_gain")
        if weight is None or len(weight.size) != 4 or gain is None:
            raise damaged(f"is damaged: {prefix} is not a toRGB layer")
        if not math.isclose(gain, 1 / math.sqrt(weight.size[1]), rel_tol=1e-6):
            raise unsupported(f"has an unusual weight gain of {gain:g} in {prefix}")
        self._clamp(layer, prefix)
        self.affine(layer, prefix)

    def skip(self, value: object, prefix: str) -> None:
        """Add the residual connection of the resnet architecture."""
        layer = read_module(value, prefix)
        self.take(layer, prefix)
        expect_parts(layer, prefix, ())
        expect(layer, prefix, "activation", "linear")
        expect(layer, prefix, "up", 2)
        weight = self.recipes.get(f"{prefix}.weight")
        gain = read_number(layer.state.get("weight_gain"), f"{prefix}.weight_gain")
        if weight is None or len(weight.size) != 4 or gain is None:
            raise damaged(f"is damaged: {prefix} is not a convolution")
        if not math.isclose(gain, 1 / math.sqrt(math.prod(weight.size[1:])), rel_tol=1e-6):
            raise unsupported(f"has an unusual weight gain of {gain:g} in {prefix}")
        if read_number(layer.state.get("conv_clamp"), f"{prefix}.conv_clamp") is not None:
            raise unsupported(f"has a clamp in {prefix}, which is not supported")

    def _clamp(self, layer: PickledModule, prefix: str) -> None:
        clamp = read_number(layer.state.get("conv_clamp"), f"{prefix}.conv_clamp")
        self.facts.conv_clamps.add(clamp)


def _is_usual_filter(recipe: TensorRecipe, key: str) -> bool:
    taps = filter_taps()
    return recipe.size == tuple(taps.shape) and torch.allclose(recipe.tensor(key), taps)


def expect(module: PickledModule, prefix: str, attribute: str, expected: object) -> None:
    """Raise ``Refusal`` if an attribute of a module is not as expected."""
    found = module.state.get(attribute)
    if type(found) is not type(expected) or found != expected:
        shown = printable(str(found)) if isinstance(found, str | int | None) else "something else"
        raise unsupported(f"has {attribute} {shown} in {prefix}, but only {expected} is supported")


def expect_parts(module: PickledModule, prefix: str, known: Collection[str]) -> None:
    """Raise ``Refusal`` if a module has an unknown submodule, which could change the images."""
    for name, child in module.children.items():
        if child is not None and name not in known:
            raise unsupported(
                f"has the part {printable(str(name))} in {prefix}, which StyleGAN2 does not have, "
                "so it is another network"
            )


def _collect(root: PickledModule, collector: Collector) -> None:
    """Add all modules of a generator, which are found by their names."""
    mapping = read_module(root.children["mapping"], "mapping")
    collector.take(mapping, "mapping")
    if "embed" in mapping.children:
        key = "mapping.embed"
        if collector.fully_connected(mapping.children["embed"], key, activation="linear") != 1:
            raise unsupported(f"has an unusual learning-rate multiplier in {key}")
    layers = []
    for index in range(MAX_MAPPING_LAYERS):
        child = mapping.children.get(f"fc{index}")
        if child is None:
            break
        multiplier = collector.fully_connected(child, f"mapping.fc{index}", activation="lrelu")
        collector.facts.lr_multipliers.add(multiplier)
        layers.append(f"fc{index}")
    expect_parts(mapping, "mapping", ("embed", *layers))
    synthesis = read_module(root.children["synthesis"], "synthesis")
    collector.take(synthesis, "synthesis")
    blocks = []
    resolution = LEAST_RESOLUTION
    while f"b{resolution}" in synthesis.children and resolution <= GREATEST_RESOLUTION:
        _collect_block(synthesis.children[f"b{resolution}"], resolution, collector)
        blocks.append(f"b{resolution}")
        resolution *= 2
    expect_parts(synthesis, "synthesis", blocks)


def _collect_block(value: object, resolution: int, collector: Collector) -> None:
    prefix = f"synthesis.b{resolution}"
    block = read_module(value, prefix)
    architecture = block.state.get("architecture")
    if not isinstance(architecture, str) or architecture not in get_args(Architecture):
        shown = printable(architecture) if isinstance(architecture, str) else "unknown"
        raise unsupported(f"is a StyleGAN2 generator with the unknown architecture '{shown}'")
    collector.facts.architectures.add(architecture)
    collector.take(block, prefix)
    parts = ["conv1"]
    if resolution > LEAST_RESOLUTION:
        parts.append("conv0")
        collector.convolution(block.children.get("conv0"), f"{prefix}.conv0")
        if architecture == "resnet":
            parts.append("skip")
            collector.skip(block.children.get("skip"), f"{prefix}.skip")
    collector.convolution(block.children.get("conv1"), f"{prefix}.conv1")
    if architecture == "skip" or block.children.get("torgb") is not None:
        parts.append("torgb")
        collector.to_rgb(block.children.get("torgb"), f"{prefix}.torgb")
    expect_parts(block, prefix, parts)
