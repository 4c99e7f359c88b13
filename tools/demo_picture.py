# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws a drag's first and last image with handles and targets, for ``tools/demo.py``.

It is a process of its own because it uses the engine, whose packages must not be imported in
Blender's process. Run it from the repository's root: ``python -m tools.demo_picture FOLDER
PICTURE``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from engine.cli.sheet import before_after_sheet
from engine.output.track import Track


def main(folder: Path, picture: Path) -> None:
    """Draw the picture of a drag.

    Args:
        folder: Contains the sequence and its ``track.npz``.
        picture: The PNG to write.
    """
    track = Track.from_bytes((folder / "track.npz").read_bytes())
    # The first file is the still image before the sequence.
    files = sorted(folder.glob("*.png"))[1:]
    frames = [np.asarray(Image.open(path).convert("RGB")) for path in files]
    before_after_sheet(track, frames, picture, int(files[0].stem.rpartition("_")[2]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
