# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one harness guided by coverage: ``python -m tests.fuzz.guided NAME [--seconds 60]``.

It needs atheris, which exists for Linux and macOS: ``pip install atheris``. Inputs that reach new
code are kept in ``fuzz-corpus-NAME`` in the current folder, a find in a file ``crash-…``.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
from pathlib import Path


def main() -> None:
    """Run a harness; atheris ends the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["stylegan2", "engine", "draggan_blender"]):
        harnesses = importlib.import_module("tests.fuzz.harnesses")
    harness = harnesses.HARNESSES[options.name]

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        """Change an input; of an archive, often the content of an entry, with its checksum."""
        chance = random.Random(seed)
        if data[:2] == b"PK" and chance.random() < 0.7:
            mended: bytes = harnesses.mended_zip(data, chance)
            if mended != data and len(mended) <= max_size:
                return mended
        changed: bytes = atheris.Mutate(data, max_size)
        return changed

    corpus = Path(f"fuzz-corpus-{options.name}")
    corpus.mkdir(exist_ok=True)
    for index, data in enumerate(harness.seeds()):
        (corpus / f"seed{index}").write_bytes(data)
    limits = [f"-max_total_time={options.seconds}", "-max_len=100000", "-rss_limit_mb=4096"]
    atheris.Setup([sys.argv[0], str(corpus), *limits], harness.check, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
