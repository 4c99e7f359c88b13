# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes and durations in words."""

from __future__ import annotations


def size_in_words(size: float) -> str:
    """Return a number of bytes as people read it: ``412 MB``, ``2.8 GB``."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def duration_in_words(seconds: float) -> str:
    """Return a duration as people read it: ``40 s``, ``3 min``."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
