# SPDX-License-Identifier: GPL-3.0-or-later
"""Which previews show which targets of a running drag."""

from __future__ import annotations

import math

import pytest

from tools.bench.latencies import Latencies


def test_a_target_is_shown_by_the_preview_of_the_step_that_was_made_for_it() -> None:
    found = Latencies()
    found.sent(1.0, (10.0, 0.0))
    # The latent of the step before was made before the target was known.
    found.previewed(1.1, 4)
    assert found.seconds == []
    found.stepped(5, (4.0, 0.0), 6.0)
    found.previewed(1.3, 5)
    assert found.seconds == pytest.approx([0.3])
    assert found.updates == 1


def test_a_preview_shows_all_targets_up_to_the_newest_that_it_was_made_for() -> None:
    found = Latencies()
    for number in range(4):
        found.sent(float(number), (10.0 + number, 0.0))
    found.stepped(1, (4.0, 3.0), math.hypot(8.0, 3.0))
    found.stepped(2, (5.0, 3.0), math.hypot(7.0, 3.0))
    found.previewed(5.0, 2)
    assert found.seconds == pytest.approx([5.0, 4.0, 3.0])
    # The same target again is no update.
    found.previewed(6.0, 2)
    assert found.updates == 1
    found.stepped(3, (6.0, 3.0), math.hypot(7.0, 3.0))
    found.previewed(7.0, 3)
    assert found.seconds == pytest.approx([5.0, 4.0, 3.0, 4.0])


def test_a_step_for_an_unknown_target_shows_nothing() -> None:
    found = Latencies()
    found.sent(0.0, (10.0, 0.0))
    found.stepped(1, (4.0, 0.0), 99.0)
    found.previewed(1.0, 9)
    assert found.seconds == []
    assert "no target was shown" in found.lines(1.0)[0]


def test_the_lines_have_median_and_95_percent() -> None:
    found = Latencies()
    for number in range(20):
        found.sent(0.0, (100.0 + number, 0.0))
        found.stepped(number, (0.0, 0.0), 100.0 + number)
        found.previewed(0.01 * (number + 1), number)
    text = "\n".join(found.lines(2.0))
    assert "20 of 20 targets" in text
    assert "105.0 ms from a target" in text
    assert "190.0 ms, 95 %" in text
    assert "10.0 updates" in text
