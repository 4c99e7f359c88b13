# SPDX-License-Identifier: GPL-3.0-or-later
"""The statistics of the pump's ticks."""

from __future__ import annotations

import pytest

from draggan_blender.connection.tick_stats import KEPT, Durations, TickStats


def test_before_the_first_tick_everything_is_zero() -> None:
    stats = TickStats()
    assert (stats.count, stats.max_s, stats.last_s, stats.longest) == (0, 0.0, 0.0, ())
    assert (stats.all.median_s, stats.working.p99_s) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.501, 51.0), (0.99, 99.0), (1.0, 100.0)]
)
def test_a_percentile_is_one_of_the_durations(share: float, expected: float) -> None:
    durations = Durations()
    for seconds in range(100, 0, -1):
        durations.add(float(seconds))
    assert durations.percentile_s(share) == expected


def test_percentiles_are_of_the_last_ticks_and_the_longest_is_of_all() -> None:
    durations = Durations()
    durations.add(9.0)
    for _ in range(KEPT):
        durations.add(1.0)
    assert (durations.count, durations.max_s) == (KEPT + 1, 9.0)
    assert durations.percentile_s(1.0) == 1.0


def test_ticks_that_deliver_are_also_counted_separately() -> None:
    stats = TickStats()
    stats.add(0.004, ["step", "preview"])
    for _ in range(99):
        stats.add(0.001)
    assert (stats.all.count, stats.working.count) == (100, 1)
    assert (stats.all.median_s, stats.working.median_s) == (0.001, 0.004)


def test_the_messages_of_the_longest_tick_are_kept() -> None:
    stats = TickStats()
    stats.add(0.1)
    stats.add(0.3, ["drag_finished", "done"])
    stats.add(0.2, ["step"])
    assert (stats.max_s, stats.last_s) == (0.3, 0.2)
    assert stats.longest == ("drag_finished", "done")
    stats.clear()
    assert (stats.count, stats.max_s, stats.last_s) == (0, 0.0, 0.0)
    assert not stats.longest
