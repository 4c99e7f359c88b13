# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator of a file before its weights are copied: what each tensor is made from.

The containers differ in the names of the tensors and in the order of their axes. Each reader says,
for every key of the public PyTorch state dict, which tensor of the file it is made from and how.
The shapes are known without copying anything, so all of them are checked first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..network.config import GeneratorConfig
from .average import estimate_average
from .layout import Checkpoint, check_finite, check_shapes, config_from_shapes, expected_shapes
from .pickled_tensor import TensorRecipe
from .refusal import damaged

Change = Callable[[Tensor], Tensor]

_AVERAGE = "mapping.w_avg"
_NOISE = ".noise_const"


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor of the file, and how it becomes one of the generator.

    Attributes:
        recipe: The tensor of the file.
        change: A function of that tensor; None to take it as it is.
    """

    recipe: TensorRecipe
    change: Change | None = None

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of the result, without reading any values.

        Args:
            key: Name of the tensor for the message.

        Raises:
            Refusal: The tensor of the file has another rank than the change expects.
        """
        if self.change is None:
            return self.recipe.size
        try:
            changed = self.change(torch.empty(self.recipe.size, device="meta"))
        except (RuntimeError, IndexError):
            raise damaged(f"is damaged: {key} has an impossible shape") from None
        return tuple(changed.shape)

    def tensor(self, key: str) -> Tensor:
        """Return the values, float32 and contiguous.

        Raises:
            Refusal: A value is infinite or NaN.
        """
        tensor = self.recipe.tensor(key)
        return tensor if self.change is None else self.change(tensor).contiguous()


@dataclass(kw_only=True)
class Found:
    """A generator that was found in a file.

    Attributes:
        container: Name of the format for people.
        parts: The parts by their keys in the public PyTorch state dict.
        lr_multiplier: As in ``GeneratorConfig``.
        conv_clamp: As in ``GeneratorConfig``.
        architecture: As in ``GeneratorConfig``; None if the file does not say it.
        notes: What was assumed because the file does not say it, a sentence each.
    """

    container: str
    parts: dict[str, Part]
    architecture: str | None = None
    lr_multiplier: float = 0.01
    conv_clamp: float | None = None
    notes: list[str] = field(default_factory=list)

    def checkpoint(self, max_bytes: int) -> Checkpoint:
        """Check all shapes, then copy all values.

        A missing average latent is estimated, and missing noise maps are drawn.

        Args:
            max_bytes: Limit of the bytes of all parts together: the size of the file, so that many
                tensors that share the same bytes cannot take more memory than the file.

        Raises:
            Refusal: The tensors are not those of one StyleGAN2 generator, or are damaged.
        """
        if sum(part.recipe.nbytes for part in self.parts.values()) > max_bytes:
            raise damaged("is damaged: its tensors share their data")
        shapes = {key: part.shape(key) for key, part in self.parts.items()}
        config = config_from_shapes(
            shapes, lr_multiplier=self.lr_multiplier, conv_clamp=self.conv_clamp
        )
        if len(config.resolutions) > 1 and self.architecture not in (None, config.architecture):
            raise damaged(
                f"is damaged: it says that its architecture is {self.architecture}, but has the "
                f"layers of {config.architecture}"
            )
        has_strength = any(key.endswith(".noise_strength") for key in shapes)
        draws_noise = has_strength and not any(key.endswith(_NOISE) for key in shapes)
        if draws_noise:
            config = replace(config, use_noise=True)
        expected = expected_shapes(config)
        missing = {_AVERAGE} - shapes.keys()
        if draws_noise:
            missing |= {key for key in expected if key.endswith(_NOISE)}
        check_shapes({**shapes, **{key: expected[key] for key in missing}}, config)
        tensors = {key: part.tensor(key) for key, part in self.parts.items()}
        self._fill(missing, expected, config, tensors)
        return Checkpoint(
            container=self.container,
            config=config,
            tensors=tensors,
            notes=tuple(self.notes),
        )

    def _fill(
        self,
        missing: set[str],
        expected: Mapping[str, tuple[int, ...]],
        config: GeneratorConfig,
        tensors: dict[str, Tensor],
    ) -> None:
        random = torch.Generator().manual_seed(0)
        for key in sorted(missing - {_AVERAGE}):
            tensors[key] = torch.randn(expected[key], generator=random)
        if len(missing) > 1:
            self.notes.append(
                "the file has no noise maps, so fixed ones were drawn; fine details differ from "
                "images of other programs"
            )
        if _AVERAGE in missing:
            tensors[_AVERAGE], count = estimate_average(config, tensors)
            check_finite(_AVERAGE, tensors[_AVERAGE])
            self.notes.append(
                "the file has no average latent, so truncation uses the average of "
                f"{count} random ones"
            )
