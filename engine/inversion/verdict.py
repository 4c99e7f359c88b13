# SPDX-License-Identifier: GPL-3.0-or-later
"""Says honestly how well a model covers a picture.

The thresholds are for the error of the inversion before any tuning: a tuned model matches nearly
every picture, but an edit of one that it did not cover before does not look right.
"""

from __future__ import annotations

from enum import Enum

# Mean absolute errors, shares of the range of values, measured by ``tools.bench.invert`` on the
# built-in model.
COVERED_TO = 0.02
ROUGHLY_TO = 0.05


class Coverage(Enum):
    """How well a model covers a picture."""

    COVERED = "covered"
    ROUGHLY = "roughly"
    NOT = "not"


_SENTENCES = {
    Coverage.COVERED: "This model covers the picture",
    Coverage.ROUGHLY: "This model covers the picture only roughly: edits may look unlike it",
    Coverage.NOT: "This model does not cover the picture: it was trained on other pictures, or the "
    "frame is not where it was there",
}


def coverage_of(error: float) -> Coverage:
    """Return how well a model covers a picture, by the error of its inversion."""
    if error <= COVERED_TO:
        return Coverage.COVERED
    return Coverage.ROUGHLY if error <= ROUGHLY_TO else Coverage.NOT


def sentence(
    error: float,
    tuned: float | None = None,
    *,
    noise: float | None = None,
    is_cut: bool = False,
) -> str:
    """Return the verdict for people.

    Args:
        error: Mean absolute error before tuning and without noise maps of the picture, a share of
            the range of values.
        tuned: The same after tuning; None if the model was not tuned.
        noise: The same with noise maps of the picture, before tuning; None without them.
        is_cut: Whether the search ended before all its steps, so that more time may come closer.
    """
    if is_cut and coverage_of(error) is not Coverage.COVERED:
        return f"The search was ended early (error {error:.1%}); with more seconds it comes closer"
    text = f"{_SENTENCES[coverage_of(error)]} (error {error:.1%}"
    if noise is not None:
        text += f", with noise {noise:.1%}"
    return text + (")" if tuned is None else f", after tuning {tuned:.1%})")
