# SPDX-License-Identifier: GPL-3.0-or-later
"""Frame numbers as people and farms write them: ``1-48``, ``7``, ``3..8``, ``3,4``, ``1-9,20-30``.

Flamenco writes a chunk of two frames as ``3,4``, and Blender's own ranges have two dots.
"""

from __future__ import annotations

import argparse
from itertools import groupby

#: More frames than any timeline of Blender has.
_MOST = 1_048_574


def parse(text: str) -> tuple[range, ...]:
    """The frames of a text as ranges, in order, each as long as it can be.

    Raises:
        argparse.ArgumentTypeError: it is none, or has frames before 1, for which there are no
            files.
    """
    numbers: set[int] = set()
    for part in text.replace("..", "-").split(","):
        first, _, last = part.strip().partition("-")
        try:
            start, stop = int(first), int(last or first) + 1
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no frame range; expected one like 1-48 or 3,5-10"
            ) from None
        if not 1 <= start < stop <= _MOST + 1:
            raise argparse.ArgumentTypeError(
                f"{part.strip()!r} is no frame range; frames are 1 to {_MOST}, the first one first"
            )
        numbers.update(range(start, stop))
    ordered = sorted(numbers)
    spans = []
    for _, group in groupby(enumerate(ordered), key=lambda entry: entry[1] - entry[0]):
        run = [number for _, number in group]
        spans.append(range(run[0], run[-1] + 1))
    return tuple(spans)


def in_words(span: range) -> str:
    """``1-48``, or ``7`` for a single frame."""
    return str(span.start) if len(span) == 1 else f"{span.start}-{span.stop - 1}"
