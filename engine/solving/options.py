# SPDX-License-Identifier: GPL-3.0-or-later
"""Every setting of a drag, with its unit, its default and its limits.

The names and defaults are also those of the wire (``DragSettings`` in the protocol, which may
import nothing from here); a test holds the two equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import RequestError

METHOD_NAMES = ("draggan", "freedrag", "linearised")
"""Names of the methods in `methods.METHODS`; apart, so that reading options needs no torch."""

LATENT_SPACES = ("w+", "w", "principal")
_WIDEST = 64.0


@dataclass(frozen=True, kw_only=True)
class DragOptions:
    """How to drag.

    Lengths `r1`, `r2` and `step_length` are *feature pixels*: pixels of the feature block, 128 px
    wide in the usual models, so that they mean the same at every image size.  `tolerance_px` is
    *image pixels*.  `r1`, `r2` and `tracking_radius` belong to the methods ``draggan`` and
    ``linearised``, and `step_size` to ``draggan`` and ``freedrag``; `step_length` belongs to
    ``draggan`` alone, what begins with `sub_motion` to ``freedrag``, `linear_reach` to
    ``linearised``.

    Attributes:
        method: one of `METHOD_NAMES`.
        latent_space: ``w+``: each layer's w changes by itself; ``w``: one change for all of them;
            ``principal``: along the principal components of W only, in standard deviations, the
            layers nearly alike.
        num_layers: how many of the first w may change; those beyond the model's last are ignored.
            The later ones hold colour and texture and stay.
        feature_resolution: the block that is read, or 0 for the usual one: 128, or the last block
            of a smaller model.
        mask_resolution: the block whose features a mask holds, at most the one that is read; 0 for
            the first that all free layers have acted on: what comes after depends on it alone. The
            paper holds the features that are read.
        r1: radius of the disc around a handle whose content is pushed.
        r2: half-width of the square in which a handle is searched for again.
        tracking_radius: radius of the disc whose features a handle is found by; 0 for the feature
            at the handle alone, as published.
        step_length: how far motion supervision pushes at once.
        step_size: Adam's learning rate, by which an entry of w changes (root mean square) in a
            step; so it means the same in each latent space.
        sub_motion_loss: how far off its template a search point may be set, in units of the
            features' spread; the published 0.3 is for networks whose features have a spread of 1.
            Different places of an image are about 0.5 apart: far above that, all look alike.
        sub_motion_distance: how far it may be set at once, feature pixels of a map of 128; on
            others the same part of the map.
        linear_reach: how far a handle may go in one least-squares step, feature pixels of a map of
            128; on others the same part of the map.
        mask_weight: weight of the change in the fixed area; 0 ignores the mask.  ``freedrag`` takes
            half of it: 20 stands for the published 20 of the one and 10 of the other.
        tolerance_px: a handle this near to its target has arrived; twice as far of more than five
            handles, as published.
        max_steps: give up after so many steps; 0 for no limit.
        patience: give up after so many steps without progress; 0 for never.

    Raises:
        RequestError: a value is out of range, or nothing would ever end the drag.
    """

    method: str = "linearised"
    latent_space: str = "principal"
    num_layers: int = 6
    feature_resolution: int = 0
    mask_resolution: int = 0
    r1: float = 3.0
    r2: float = 1.5
    tracking_radius: float = 3.0
    step_length: float = 1.0
    step_size: float = 2e-3
    sub_motion_loss: float = 0.3
    sub_motion_distance: float = 3.0
    linear_reach: float = 3.0
    mask_weight: float = 20.0
    tolerance_px: float = 1.0
    max_steps: int = 200
    patience: int = 40

    def __post_init__(self) -> None:
        self._check_names()
        for name, least, most in (
            ("r1", 0.0, _WIDEST),
            ("tracking_radius", 0.0, _WIDEST),
            ("mask_weight", 0.0, 1e6),
            ("tolerance_px", 0.0, math.inf),
        ):
            self._check(name, least, most, least_allowed=True)
        for name, most in (
            ("r2", _WIDEST),
            ("step_length", _WIDEST),
            ("step_size", 100.0),
            ("sub_motion_loss", 2.0),
            ("sub_motion_distance", _WIDEST),
            ("linear_reach", _WIDEST),
        ):
            self._check(name, 0.0, most, least_allowed=False)
        for name, least in (("num_layers", 1), ("max_steps", 0), ("patience", 0)):
            value = getattr(self, name)
            if value < least:
                raise RequestError(f"{name} must be {least} or more, not {value}")
        if not self.max_steps and not self.patience:
            raise RequestError(
                "a drag needs a rule that ends it: max_steps and patience must not both be 0"
            )

    def _check_names(self) -> None:
        for name, value, known in (
            ("method", self.method, METHOD_NAMES),
            ("latent_space", self.latent_space, LATENT_SPACES),
        ):
            if value not in known:
                raise RequestError(f"{name} must be one of {', '.join(known)}, not {value!r}")
        for name in ("feature_resolution", "mask_resolution"):
            size = getattr(self, name)
            if size and (size < 4 or size & (size - 1)):
                raise RequestError(f"{name} must be 0 or a block's size (4, 8, 16, …), not {size}")

    def _check(self, name: str, least: float, most: float, *, least_allowed: bool) -> None:
        value = getattr(self, name)
        above = value >= least if least_allowed else value > least
        if not (above and value <= most and math.isfinite(value)):
            relation = "from" if least_allowed else "above"
            limit = f" to {most:g}" if math.isfinite(most) else " upwards"
            raise RequestError(f"{name} must be {relation} {least:g}{limit}, not {value}")
