# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader for the discriminator that training leaves beside the generator in a checkpoint.

It is ``D`` in the pickles of the StyleGAN2-ADA and StyleGAN3 repositories (see ``module_tree``) and
``d`` in what rosinality's training writes. Only its blocks are read: what follows them says how
real a picture is, and depends on labels and on other pictures. As everywhere, nothing in the file
is executed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..errors import ModelErrorKind
from ..network.config import GREATEST_RESOLUTION, GREATEST_SIZE
from ..network.discriminator import DiscriminatorBlocks
from ..network.layers import GAIN
from .budget import Budget
from .byte_source import ByteSource, open_bytes
from .families import module_hint
from .globals import ALLOWED
from .inert_pickle import InertPickle
from .module_tree import Collector, PickledModule, expect, expect_parts, is_module, read_module
from .pickled_tensor import TensorRecipe, is_tensor, read_number, read_tensor
from .refusal import Refusal, damaged, refusals_about, unsupported
from .rosinality import check_filter
from .sniff import Container, sniff
from .storages import NestedStorages, Storages
from .torch_file import read_legacy, read_zip
from .values import entries_of

_NAMES = ("D", "d", "D_ema", "discriminator")
_ADVICE = "choose another loss, or the .pkl or .pt file of a training as the file of the loss"
# Names in rosinality's state dict, of a block and of its layers.
_ROSINALITY = {
    "conv0.weight": "conv1.0.weight",
    "conv0.bias": "conv1.1.bias",
    "conv1.weight": "conv2.1.weight",
    "conv1.bias": "conv2.2.bias",
    "skip.weight": "skip.1.weight",
}
_KERNELS = ("conv2.0.kernel", "skip.0.kernel")


@dataclass
class _Found:
    """A discriminator before its weights are copied.

    Attributes:
        recipes: The tensors by their keys in ``DiscriminatorBlocks``.
        clamps: The bounds of the activations.
    """

    recipes: dict[str, TensorRecipe] = field(default_factory=dict)
    clamps: set[float | None] = field(default_factory=set)

    def build(self, max_bytes: int) -> DiscriminatorBlocks:
        """Check all shapes, then copy all values.

        Raises:
            Refusal: The tensors are not those of one discriminator.
        """
        if sum(recipe.nbytes for recipe in self.recipes.values()) > max_bytes:
            raise damaged("is damaged: its tensors share their data")
        if len(self.clamps) > 1:
            raise unsupported("has a discriminator with layers of different clamp")
        count = sum(key.endswith("conv1.weight") for key in self.recipes)
        sizes = [self._shape(f"blocks.{n}.conv0.weight")[0] for n in range(count)]
        last = self._shape(f"blocks.{count - 1}.conv1.weight")[0]
        if max(*sizes, last, self._shape("from_rgb.weight")[1]) > GREATEST_SIZE:
            raise damaged("has a discriminator that is larger than any of StyleGAN2")
        # Without memory, to compare the shapes first.
        with torch.device("meta"):
            made = self._made((*sizes, last))
        expected = {key: tuple(value.shape) for key, value in made.state_dict().items()}
        if expected != {key: recipe.size for key, recipe in self.recipes.items()}:
            raise damaged("has a discriminator whose layers do not fit together")
        network = self._made((*sizes, last))
        network.load_state_dict({key: r.tensor(key) for key, r in self.recipes.items()})
        return network

    def _made(self, sizes: tuple[int, ...]) -> DiscriminatorBlocks:
        return DiscriminatorBlocks(
            tuple(reversed(sizes)),
            self._shape("from_rgb.weight")[1],
            has_skip="blocks.0.skip.weight" in self.recipes,
            clamp=next(iter(self.clamps), None),
        )

    def _shape(self, key: str) -> tuple[int, ...]:
        recipe = self.recipes.get(key)
        if recipe is None or len(recipe.size) != 4:
            raise damaged("has a discriminator without the layers of StyleGAN2")
        return recipe.size


def load_discriminator(
    path: str | os.PathLike[str], device: torch.device | str = "cpu"
) -> DiscriminatorBlocks:
    """Load the blocks of the discriminator in a checkpoint.

    Args:
        path: The file.
        device: Device of the weights.

    Returns:
        The frozen blocks, float32.

    Raises:
        ModelError: The file cannot be read, or has no discriminator that is supported.
    """
    file_path = Path(path)
    with refusals_about(file_path):
        container = sniff(file_path)
        with open_bytes(file_path) as source:
            top, storages = _read(source, container)
            network = _find(top, storages).build(source.size)
    return network.to(device).eval().requires_grad_(False)


def _read(source: ByteSource, container: Container) -> tuple[object, Storages]:
    budget = Budget(file_bytes=source.size)
    if container is Container.TORCH_ZIP:
        return read_zip(source, budget)
    if container is Container.TORCH_LEGACY:
        return read_legacy(source, budget)
    if container is Container.PICKLE:
        machine = InertPickle(source, allowed=ALLOWED, budget=budget, hint=module_hint)
        return machine.read()[0], NestedStorages(budget)
    raise Refusal(
        ModelErrorKind.UNSUPPORTED,
        f"is a safetensors file, which holds no discriminator; {_ADVICE}",
    )


def _find(top: object, storages: Storages) -> _Found:
    """Return the discriminator in the value of a pickle.

    Raises:
        Refusal: There is none, or it is damaged or of another kind.
    """
    entries = entries_of(top) or {}
    for name in _NAMES:
        value = entries.get(name)
        if is_module(value):
            return _of_modules(value, storages)
        state = entries_of(value)
        if state is not None and is_tensor(state.get("convs.0.0.weight")):
            return _of_rosinality(state, storages)
    raise Refusal(ModelErrorKind.UNSUPPORTED, f"holds no discriminator that can be read; {_ADVICE}")


def _of_modules(value: object, storages: Storages) -> _Found:
    root, found, collector = read_module(value, "D"), _Found(), Collector(storages)
    resolution = GREATEST_RESOLUTION
    while resolution > 4 and f"b{resolution}" not in root.children:
        resolution //= 2
    if resolution == 4:
        raise unsupported("has a discriminator without the blocks of StyleGAN2")
    sizes = [resolution >> n for n in range(resolution.bit_length() - 3)]
    expect_parts(root, "D", ("b4", "mapping", *(f"b{size}" for size in sizes)))
    for number, size in enumerate(sizes):
        block = read_module(root.children.get(f"b{size}"), f"D.b{size}")
        architecture = block.state.get("architecture")
        if architecture not in ("resnet", "orig"):
            raise unsupported("has a discriminator of the architecture skip, which is not read")
        parts = {"conv0": 1, "conv1": 2, **({"skip": 2} if architecture == "resnet" else {})}
        expect_parts(block, f"D.b{size}", (*parts, *(() if number else ("fromrgb",))))
        if not number:
            layer = read_module(block.children.get("fromrgb"), "fromrgb")
            _take(layer, "from_rgb", 1, collector, found)
        for name, down in parts.items():
            layer = read_module(block.children.get(name), name)
            _take(layer, f"blocks.{number}.{name}", down, collector, found)
    found.recipes = collector.recipes
    return found


def _take(layer: PickledModule, key: str, down: int, collector: Collector, found: _Found) -> None:
    """Add a convolution.

    Args:
        layer: The module in the file.
        key: Of the layer in ``DiscriminatorBlocks``.
        down: By what it makes the picture smaller.
        collector: Gets its tensors.
        found: Gets its clamp.
    """
    collector.take(layer, key)
    is_skip = key.endswith("skip")
    expect(layer, key, "activation", "linear" if is_skip else "lrelu")
    expect(layer, key, "up", 1)
    expect(layer, key, "down", down)
    weight = collector.recipes.get(f"{key}.weight")
    gain = read_number(layer.state.get("weight_gain"), f"{key}.weight_gain")
    act_gain = read_number(layer.state.get("act_gain"), f"{key}.act_gain")
    if weight is None or len(weight.size) != 4 or gain is None or act_gain is None:
        raise damaged(f"is damaged: {key} of its discriminator is not a convolution")
    usual = 1 / math.sqrt(math.prod(weight.size[1:])), 1.0 if is_skip else GAIN
    if not all(map(lambda a, b: math.isclose(a, b, rel_tol=1e-6), (gain, act_gain), usual)):
        raise unsupported(f"has an unusual gain in {key} of its discriminator")
    clamp = read_number(layer.state.get("conv_clamp"), f"{key}.conv_clamp")
    if not is_skip:
        found.clamps.add(clamp)
    elif clamp is not None:
        raise unsupported(f"has a clamp in {key} of its discriminator, which is not supported")


def _of_rosinality(state: Mapping[object, object], storages: Storages) -> _Found:
    found = _Found()

    def take(key: str, name: str) -> None:
        found.recipes[key] = read_tensor(state.get(name), name, storages)

    take("from_rgb.weight", "convs.0.0.weight")
    take("from_rgb.bias", "convs.0.1.bias")
    number = 0
    while f"convs.{number + 1}.conv1.0.weight" in state and 8 << number <= GREATEST_RESOLUTION:
        prefix = f"convs.{number + 1}."
        for ours, theirs in _ROSINALITY.items():
            take(f"blocks.{number}.{ours}", prefix + theirs)
        for name in _KERNELS:
            check_filter(state.get(prefix + name), prefix + name, storages, gain=1)
        number += 1
    return found
