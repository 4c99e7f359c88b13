# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws a drag's before and after, with handles and targets; a process of its own.

The engine's side of the demo: what it needs (torch) does not belong into Blender's process.
Run as ``python -m tools.demo_picture FOLDER PICTURE`` from the project's folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from engine.cli.sheet import before_after_sheet
from engine.output.track import Track


def main(folder: Path, picture: Path) -> None:
    """Draw the sequence and the ``track.npz`` of ``folder`` into the PNG ``picture``."""
    track = Track.from_bytes((folder / "track.npz").read_bytes())
    # The first file is the hold before the sequence.
    files = sorted(folder.glob("*.png"))[1:]
    frames = [np.asarray(Image.open(path).convert("RGB")) for path in files]
    before_after_sheet(track, frames, picture, int(files[0].stem.rpartition("_")[2]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
