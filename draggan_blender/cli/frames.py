# SPDX-License-Identifier: GPL-3.0-or-later
"""Frame ranges as people and farms write them: ``1-48``, ``7``, ``3..8``, ``3,4``, ``1-9,20-30``.

Flamenco writes a chunk of two frames as ``3,4``, and Blender's own ranges have two dots.
"""

from __future__ import annotations

import argparse
from itertools import groupby

from ..protocol.file_names import GREATEST_FRAME


def parse(text: str) -> tuple[range, ...]:
    """Parse frame numbers and ranges.

    Returns:
        The frames as rising ranges without overlap, each as long as possible.

    Raises:
        argparse.ArgumentTypeError: The text is not a range, or has frames outside 1 to 1048574.
    """
    numbers: set[int] = set()
    for part in text.replace("..", "-").split(","):
        first, _, last = part.strip().partition("-")
        try:
            start, stop = int(first), int(last or first) + 1
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a frame range; expected one like 1-48 or 3,5-10"
            ) from None
        if not 1 <= start < stop <= GREATEST_FRAME + 1:
            raise argparse.ArgumentTypeError(
                f"{part.strip()!r} is not a frame range; frames are 1 to {GREATEST_FRAME}, the "
                "lower first"
            )
        numbers.update(range(start, stop))
    ordered = sorted(numbers)
    spans = []
    for _, group in groupby(enumerate(ordered), key=lambda entry: entry[1] - entry[0]):
        run = [number for _, number in group]
        spans.append(range(run[0], run[-1] + 1))
    return tuple(spans)


def in_words(span: range) -> str:
    """Return ``1-48`` for a range of frames, or ``7`` for a single frame."""
    return str(span.start) if len(span) == 1 else f"{span.start}-{span.stop - 1}"
