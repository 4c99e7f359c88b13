# SPDX-License-Identifier: GPL-3.0-or-later
"""Which events of the mouse cause a redraw of their own."""

from __future__ import annotations

from draggan_blender.ui.pacing import Pacing


def test_quick_redraws_are_caused_often() -> None:
    pacing = Pacing()
    # A redraw was caused at 1.0, and the event after it came 10 ms later.
    assert not pacing.may_redraw(1.01, 1.0)
    assert not pacing.may_redraw(1.04, 1.0)
    assert pacing.may_redraw(1.06, 1.0)


def test_slow_redraws_are_caused_twice_a_second_at_most() -> None:
    pacing = Pacing()
    assert not pacing.may_redraw(1.2, 1.0)
    assert not pacing.may_redraw(1.69, 1.0)
    assert pacing.may_redraw(1.71, 1.0)


def test_a_redraw_by_an_image_counts_too() -> None:
    pacing = Pacing()
    assert not pacing.may_redraw(1.2, 1.0)
    # An image was shown at 1.6, before the pause was over.
    assert not pacing.may_redraw(1.8, 1.6)
    assert not pacing.may_redraw(2.2, 1.6)
    assert pacing.may_redraw(2.31, 1.6)


def test_a_pause_of_the_mouse_delays_the_next_redraw_by_half_a_second_at_most() -> None:
    pacing = Pacing()
    assert not pacing.may_redraw(11.0, 1.0)
    assert pacing.may_redraw(11.51, 1.0)
