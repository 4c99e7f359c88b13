# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every harness for a while: ``python -m tests.fuzz.every [--seconds 60] [--guided]``.

As many run at once as there are cores, each in a process and a folder of its own, ``NAME`` in
``--out``. There is what was printed, the find if there is one, and the inputs that a guided run has
kept, with which the next one begins.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from .harnesses import HARNESSES

ROOT = Path(__file__).parents[2]
_LOG = "log.txt"
_LINES_SHOWN = 25


def run(name: str, folder: Path, options: Sequence[str], *, guided: bool) -> bool:
    """Run one harness in a folder, and return whether it ended without a find."""
    folder.mkdir(parents=True, exist_ok=True)
    module = "tests.fuzz.guided" if guided else "tests.fuzz"
    with (folder / _LOG).open("w", encoding="utf-8") as log:
        done = subprocess.run(
            [sys.executable, "-m", module, name, *options],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return done.returncode == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the harnesses; return 0, or 1 if there was a find."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.every", description=__doc__)
    parser.add_argument("names", nargs="*", help="of harnesses; without any, all")
    parser.add_argument("--seconds", type=int, default=60, help="for each")
    parser.add_argument("--seed", type=int, default=1, help="of the changes; not if guided")
    parser.add_argument("--guided", action="store_true", help="guided by coverage; needs atheris")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "fuzz", help="folder")
    options = parser.parse_args(arguments)
    names = options.names or list(HARNESSES)
    if unknown := set(names) - set(HARNESSES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(HARNESSES)}")
    passed_on = ["--seconds", str(options.seconds)]
    if not options.guided:
        passed_on += ["--seed", str(options.seed)]
    folders = [options.out.absolute() / name for name in names]
    one = partial(run, options=passed_on, guided=options.guided)
    finds = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for name, folder, is_good in zip(
            names, folders, pool.map(one, names, folders), strict=True
        ):
            lines = (folder / _LOG).read_text(encoding="utf-8", errors="replace").splitlines()
            if is_good:
                print(lines[-1] if lines else name, flush=True)
                continue
            finds += 1
            print(f"{name}: a find, or it could not run; see {folder}", flush=True)
            print("\n".join(lines[-_LINES_SHOWN:]), flush=True)
    return 1 if finds else 0


if __name__ == "__main__":
    raise SystemExit(main())
