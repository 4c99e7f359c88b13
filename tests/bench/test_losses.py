# SPDX-License-Identifier: GPL-3.0-or-later
"""The drawings of the comparison of losses."""

from __future__ import annotations

import numpy as np
import pytest

from tools.bench import losses


@pytest.mark.parametrize(
    "subject",
    [
        losses._smiley(),
        losses._monkey("flat", losses._BROWN, losses._SKIN, (9, 9, 99)),
        losses._ink(),
    ],
    ids=lambda subject: str(subject.name),
)
def test_eyes_and_nose_are_where_they_are_said_to_be(subject: losses.Subject) -> None:
    assert subject.pixels.shape == (128, 128, 3)
    right, left, nose = subject.places_px
    # As of the landmarks: the left eye is the monkey's own, on the right of the picture.
    has_nose = not np.isnan(nose[0])
    assert has_nose == (subject.name != "smiley")
    assert right[0] > left[0]
    for x, y in subject.places_px[: 3 if has_nose else 2]:
        assert subject.pixels[int(y), int(x)].max() < 40
