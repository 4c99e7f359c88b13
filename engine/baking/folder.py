# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a bake: which of its files are still right, and what another bake can take over.

- `edit.draggan`: the edit; with the model, all that a worker of a farm needs.
- `solve.journal`: the rows so far, while solving goes on.
- `track.npz`: all rows, from when they are solved.
- `stem_0001.png` and so on: the frames, written after the track.

A frame's file always shows what the track in its folder says: before another track comes, the files
that it would belie are removed.  So, after any end of the process, a file that is there is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from draggan_blender.protocol.atomic_files import link_or_copy
from draggan_blender.protocol.file_names import EDIT_FILE, JOURNAL_FILE, TRACK_FILE

from ..output.frames import FrameNames
from ..output.track import Track, TrackError
from ..solving.result import STATUSES
from .journal import read_journal
from .row import SolvedRow


@dataclass(frozen=True)
class BakeFolder:
    """A folder, and how the frames in it are called."""

    names: FrameNames

    @property
    def edit_path(self) -> Path:
        """The edit's file."""
        return self.names.folder / EDIT_FILE

    @property
    def track_path(self) -> Path:
        """The track's file."""
        return self.names.folder / TRACK_FILE

    @property
    def journal_path(self) -> Path:
        """The journal's file."""
        return self.names.folder / JOURNAL_FILE

    def track(self) -> Track | None:
        """The track, if there is one that can be read.

        Raises:
            OSError: it is there and cannot be read.
        """
        try:
            return Track.load(self.track_path)
        except (FileNotFoundError, TrackError):
            return None

    def journal_rows(self, latent_shape: tuple[int, int], points: int) -> dict[bytes, SolvedRow]:
        """The rows in the journal, by their keys; see `read_journal`."""
        return read_journal(self.journal_path, latent_shape, points)

    def track_rows(self, latent_shape: tuple[int, int], points: int) -> dict[bytes, SolvedRow]:
        """The rows of the track, by their keys; see `rows_by_key`."""
        track = self.track()
        return {} if track is None else rows_by_key(track, latent_shape, points)

    def rows(self, latent_shape: tuple[int, int], points: int) -> dict[bytes, SolvedRow]:
        """All rows that are to be found here, by their keys."""
        return self.track_rows(latent_shape, points) | self.journal_rows(latent_shape, points)

    def remove_stale(self, track: Track) -> None:
        """Remove the frames that a new track belies, before it is written.

        Raises:
            OSError: one cannot be removed.
        """
        old = self.track()
        both = [track] if old is None else [track, old]
        right: set[Path] = set()
        for row in range(len(track)):
            if old is not None and same_row(old, track, row):
                right.update(self.names.paths_of_row(row))
        first = min(one.first_number for one in both) - 1
        end = max(one.first_number + len(one) for one in both)
        for number in range(first, end):
            path = self.names.path(number)
            if path not in right:
                path.unlink(missing_ok=True)

    def take_frames(self, earlier: BakeFolder, track: Track) -> None:
        """Get the frames of an earlier bake that are those of the track, as far as none is here.

        As a link to the same file where the file system can, else as a copy; what cannot be had is
        rendered.

        Raises:
            OSError: one cannot be written here.
        """
        old = earlier.track()
        if old is None:
            return
        for row in range(len(track)):
            if same_row(old, track, row):
                ours, theirs = (side.names.paths_of_row(row) for side in (self, earlier))
                for destination, source in zip(ours, theirs, strict=True):
                    if not destination.exists() and source.exists():
                        link_or_copy(source, destination)


def same_row(old: Track, new: Track, row: int) -> bool:
    """Whether a row of two tracks is the same frame with the same image."""
    if old.first_number != new.first_number or not 0 <= row < min(len(old), len(new)):
        return False
    same_model = old.model_sha256 == new.model_sha256
    return same_model and np.array_equal(old.latent(row), new.latent(row))


def rows_by_key(track: Track, latent_shape: tuple[int, int], points: int) -> dict[bytes, SolvedRow]:
    """The rows of a bake's track by their keys; none of a track of something else."""
    baked = track.baked
    if baked is None or track.start.shape != latent_shape or len(track.targets_px) != points:
        return {}
    latents, handles_px = track.solved_latents(), track.solved_handles_px()
    return {
        baked.keys[row].tobytes(): SolvedRow(
            latent=latents[row],
            handles_px=handles_px[row],
            distance_px=float(track.distances_px[row]),
            loss=float(track.losses[row]),
            steps=int(baked.steps[row]),
            status=STATUSES[baked.statuses[row]],
        )
        for row in range(len(track))
    }
