# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one harness: ``python -m tests.fuzz NAME [--seconds 60] [--seed 0]``.

Valid inputs are changed at random; the same seed gives the same inputs. ``guided`` does it with
atheris, guided by coverage. A find is written to the current folder as ``fuzz-NAME.bin`` and
raised; make a test of it.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path

from .harnesses import HARNESSES, Harness, mended_zip, mutated


def fuzz(name: str, seconds: float, seed: int = 0) -> int:
    """Run a harness with random changes of its seeds, and return how many inputs were read.

    Args:
        name: Name of the harness.
        seconds: How long.
        seed: Of the changes.

    Raises:
        Exception: A find; its input is in ``fuzz-NAME.bin``.
    """
    harness, chance = HARNESSES[name], random.Random(seed)
    seeds, end, count = harness.seeds(), time.monotonic() + seconds, 0
    kept = list(seeds)
    while time.monotonic() < end:
        data = chance.choice(kept)
        is_zip = data[:2] == b"PK" and chance.random() < 0.7
        data = mended_zip(data, chance) if is_zip else mutated(data, chance)
        count += 1
        _check(harness, name, data)
        # Changes of changes reach states that one change does not.
        if chance.random() < 0.02:
            kept = [*seeds, *kept[len(seeds) :][-30:], data[:100_000]]
    return count


def _check(harness: Harness, name: str, data: bytes) -> None:
    try:
        harness.check(data)
    except Exception:
        Path(f"fuzz-{name}.bin").write_bytes(data)
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a harness from the command line; return 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", choices=sorted(HARNESSES))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    count = fuzz(options.name, options.seconds, options.seed)
    print(f"{options.name}: {count} inputs, nothing found")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
