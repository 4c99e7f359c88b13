# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a latent is from everything that the mapping network makes.

W is not a cloud of all sides: the outputs of a mapping network lie on a curved sheet, which has as
many dimensions as z at most, and ends where no z leads. The principal components of W span the
sheet, and much beside it. A drag along them that goes far leaves the sheet, and there the picture
comes apart, even where the distance from the mean of W is a usual one. So the nearest output of
the mapping network is looked for, by Levenberg's and Marquardt's method on z, in standard
deviations along the components.

Truncation leads off the sheet as well, and does no harm. So a latent that is closer to the mean
than outputs are is compared with outputs that are truncated as much.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from ..inputs import device_of
from .principal import principal_components

# The search begins at the nearest of this many outputs of random z, and again at the next ones,
# until it has come closer than the last number of standard deviations.
_SAMPLES, _SEED = 1000, 0
_STARTS, _CLOSE = 4, 0.1
# Its steps, its first damping as a share of the mean curvature, and by how much the damping falls
# after a step that came closer, and rises after one that did not.
_STEPS, _DAMPING, _FACTOR = 8, 0.1, 4.0
# How often a step is tried again with a larger damping.
_TRIES = 4
# The search ends when a step lessens the square of the distance by less than this share.
_LEAST_GAIN = 0.01

# A picture is whole up to the first distance, or up to the second one more than where its drag has
# begun, in standard deviations; see docs/methods.md.
_WHOLE_WITHIN, _MORE = 4.0, 1.0

# With this many other outputs it is tried whether the search finds what is on the sheet, and how
# close it must come to most of them. With more components than the last number it does not.
_TRIED, _FOUND, _MOST_COMPONENTS = 5, 0.85, 128

_KNOWN: weakref.WeakKeyDictionary[Generator, Sheet] = weakref.WeakKeyDictionary()
_IS_FOUND: weakref.WeakKeyDictionary[Generator, bool] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Sheet:
    """Some outputs of a mapping network.

    Attributes:
        z: ``N x z_dim`` float32.
        labels: ``N x c_dim`` float32; None for a model without classes.
        outputs: ``N x K`` float32, w in standard deviations along the principal components.
        usual: The median distance of the outputs from the mean, a scalar.
    """

    z: Tensor
    labels: Tensor | None
    outputs: Tensor
    usual: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, generator: Generator) -> Sheet:
        """Return those of a generator, on its device; computed once."""
        known = _KNOWN.get(generator)
        device = device_of(generator)
        if known is None or known.z.device != device:
            z, labels, ws = _outputs(generator, _SAMPLES, _SEED)
            outputs = in_deviations(generator, ws)
            known = _KNOWN[generator] = cls(z, labels, outputs, outputs.norm(dim=1).median())
        return known


@torch.no_grad()
def _outputs(generator: Generator, count: int, seed: int) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return random z, labels and outputs of the mapping network, see ``Sheet``."""
    source, device = np.random.RandomState(seed), device_of(generator)
    z = torch.from_numpy(source.randn(count, generator.z_dim).astype(np.float32)).to(device)
    labels = None
    if generator.c_dim:
        classes = source.randint(generator.c_dim, size=count)
        labels = torch.eye(generator.c_dim, device=device)[torch.from_numpy(classes).to(device)]
    return z, labels, generator.mapping(z, labels)[:, 0]


def in_deviations(generator: Generator, ws: Tensor) -> Tensor:
    """Return w, ``... x w_dim``, in standard deviations along the components, ``... x K``."""
    components = principal_components(generator)
    return (ws - components.mean) @ components.directions.T / components.sigmas


def distance_from_outputs(
    generator: Generator, w: Tensor, between: Callable[[], None] = lambda: None
) -> float:
    """Return how far a w is from the outputs of the mapping network.

    Args:
        generator: Frozen.
        w: ``w_dim`` float32.
        between: Called between the steps of the search; it may raise to end it.

    Returns:
        The distance in standard deviations along the components.
    """
    sheet = Sheet.of(generator)
    place = in_deviations(generator, w)
    truncation = (place.norm() / sheet.usual).clamp(max=1).clamp(min=torch.finfo().eps)
    wanted = place / truncation
    nearest = (sheet.outputs - wanted).square().sum(dim=1).argsort()[:_STARTS]
    square = math.inf
    for number in nearest.tolist():
        label = None if sheet.labels is None else sheet.labels[number, None]
        output = partial(_deviations_of_z, generator, label)
        square = min(square, _least_square(output, wanted, sheet.z[number], between))
        if square < _CLOSE**2:
            break
    return math.sqrt(square) * float(truncation)


def _deviations_of_z(generator: Generator, label: Tensor | None, z: Tensor) -> Tensor:
    return in_deviations(generator, generator.mapping(z[None], label)[0, 0])


def _least_square(
    output: Callable[[Tensor], Tensor], wanted: Tensor, z: Tensor, between: Callable[[], None]
) -> float:
    """Return the least square of ``output(z) - wanted`` that is found from a z on."""
    damping = _DAMPING
    with torch.no_grad():
        rest = output(z) - wanted
    for _ in range(_STEPS):
        between()
        with torch.enable_grad():
            jacobian = torch.autograd.functional.jacobian
            slopes = jacobian(output, z, vectorize=True)  # type: ignore[no-untyped-call]
        curvature, down = slopes.T @ slopes, slopes.T @ rest
        one = torch.eye(len(z), device=z.device) * curvature.diagonal().mean()
        before = float(rest.square().sum())
        for _ in range(_TRIES):
            tried = z - torch.linalg.solve_ex(curvature + damping * one, down).result
            with torch.no_grad():
                left = output(tried) - wanted
            if float(left.square().sum()) < before:
                break
            damping *= _FACTOR
        else:
            break
        z, rest, damping = tried, left, damping / _FACTOR
        if float(rest.square().sum()) > (1 - _LEAST_GAIN) * before:
            break
    return float(rest.square().sum())


def finds_outputs(generator: Generator, between: Callable[[], None] = lambda: None) -> bool:
    """Return whether the search finds outputs of the mapping network; tried once a generator.

    With some hundred dimensions it comes to rest before, and so it does where training has folded
    the sheet: then its distances say nothing.

    Args:
        generator: Frozen.
        between: As for ``distance_from_outputs``.
    """
    known = _IS_FOUND.get(generator)
    if known is None:
        known = _IS_FOUND[generator] = _finds_most(generator, between)
    return known


def _finds_most(generator: Generator, between: Callable[[], None]) -> bool:
    if len(principal_components(generator).sigmas) > _MOST_COMPONENTS:
        return False
    found = missed = 0
    for w in _outputs(generator, _TRIED, _SEED + 1)[2]:
        is_found = distance_from_outputs(generator, w, between) < _FOUND
        found, missed = found + is_found, missed + (not is_found)
        if max(found, missed) > _TRIED // 2:
            break
    return found > missed


def last_whole(
    generator: Generator, latents: Sequence[Tensor], between: Callable[[], None] = lambda: None
) -> int:
    """Return the last of the rows of a drag whose picture does not come apart.

    A drag leads away from the outputs of the mapping network, and hardly back. So this is a search
    by bisection, from the end in steps that double: ``2 log2(T)`` distances at most. Where a drag
    comes back for a few rows, one of the whole rows before them may be returned.

    Args:
        generator: Frozen.
        latents: ``T`` rows, each ``L x w_dim`` float32, the w vectors that the drag may change.
            Row 0 is the start, which counts as whole, as does each row that returns to it.
        between: Called between parts of the computation; it may raise to end it.

    Returns:
        The number of the row; the last one if nothing can be said of this model.
    """
    last = len(latents) - 1
    # Rows before the last return to the start are those of an attempt that was given up.
    whole = next(row for row in range(last, -1, -1) if torch.equal(latents[row], latents[0]))
    if whole == last or not finds_outputs(generator, between):
        return last
    start = distance_from_outputs(generator, latents[0].mean(dim=0), between)
    limit = max(_WHOLE_WITHIN, start + _MORE)

    def is_whole(row: int) -> bool:
        return distance_from_outputs(generator, latents[row].mean(dim=0), between) <= limit

    if is_whole(last):
        return last
    torn, back = last, 1
    while torn - back > whole and not is_whole(torn - back):
        torn, back = torn - back, 2 * back
    whole = max(whole, torn - back)
    while torn - whole > 1:
        middle = (whole + torn) // 2
        if is_whole(middle):
            whole = middle
        else:
            torn = middle
    return whole
