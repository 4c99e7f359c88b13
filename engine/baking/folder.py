# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a bake: which of its files are valid, and what another bake can reuse.

- ``edit.draggan``: the edit. With the model, it is all that a worker of a farm needs.
- ``solve.journal``: the rows solved so far, while solving goes on.
- ``track.npz``: all rows, written when they are solved.
- ``stem_0001.png`` and so on: the frames, written after the track.

A frame's file always shows its row of the track in the folder: before another track is written,
the files that differ from it are removed. However a process ends, the files that exist are valid.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from draggan_blender.protocol.atomic_files import link_or_copy
from draggan_blender.protocol.file_names import (
    EDIT_FILE,
    JOURNAL_FILE,
    TRACK_FILE,
    frame_number_of_any,
)

from ..output.frames import FrameNames
from ..output.track import Track
from ..output.track_arrays import TrackError
from ..solving.result import STATUSES
from .journal import are_numbers_sound, read_journal
from .row import SolvedRow


@dataclass(frozen=True)
class BakeFolder:
    """A folder and the names of its files.

    Attributes:
        names: The folder, and the file names of its frames.
    """

    names: FrameNames

    @property
    def edit_path(self) -> Path:
        """The path of the edit's file."""
        return self.names.folder / EDIT_FILE

    @property
    def track_path(self) -> Path:
        """The path of the track's file."""
        return self.names.folder / TRACK_FILE

    @property
    def journal_path(self) -> Path:
        """The path of the journal's file."""
        return self.names.folder / JOURNAL_FILE

    def track(self) -> Track | None:
        """Return the track, or None if its file is missing or is not a valid track.

        Raises:
            OSError: The file exists and cannot be read.
        """
        try:
            return Track.load(self.track_path)
        except (FileNotFoundError, TrackError):
            return None

    def journal_rows(
        self, latent_shape: tuple[int, int], points: int, *, has_regions: bool = False
    ) -> dict[bytes, SolvedRow]:
        """Return the rows of the journal by their keys; see ``baking.journal.read_journal``."""
        return read_journal(self.journal_path, latent_shape, points, has_regions=has_regions)

    def track_rows(
        self, latent_shape: tuple[int, int], points: int, *, has_regions: bool = False
    ) -> dict[bytes, SolvedRow]:
        """Return the rows of the track by their keys; see ``rows_by_key``."""
        track = self.track()
        if track is None:
            return {}
        return rows_by_key(track, latent_shape, points, has_regions=has_regions)

    def rows(
        self, latent_shape: tuple[int, int], points: int, *, has_regions: bool = False
    ) -> dict[bytes, SolvedRow]:
        """Return the rows of the track and of the journal by their keys."""
        in_track = self.track_rows(latent_shape, points, has_regions=has_regions)
        return in_track | self.journal_rows(latent_shape, points, has_regions=has_regions)

    def remove_stale(self, track: Track) -> None:
        """Remove the frames that differ from a new track; call it before the track is written.

        Raises:
            OSError: The old track cannot be read, or a file cannot be removed.
        """
        old = self.track()
        both = [track] if old is None else [track, old]
        valid: set[int] = set()
        for row in range(len(track)):
            if old is not None and same_row(old, track, row):
                number = self.names.first_number + row
                valid.update((number - 1, number) if row == 0 else (number,))
        first = min(one.first_number for one in both) - 1
        end = max(one.first_number + len(one) for one in both)
        try:
            existing = os.listdir(self.names.folder)
        except FileNotFoundError:
            return
        for name in existing:
            found = frame_number_of_any(self.names.stem, name)
            if found is not None and first <= found < end and found not in valid:
                (self.names.folder / name).unlink(missing_ok=True)

    def take_frames(self, earlier: BakeFolder, track: Track) -> None:
        """Take the files of an earlier bake for the rows of a track that are the same there.

        A file that exists here stays. The others become a second name of the earlier file where
        the file system allows it, and a copy elsewhere. Frames that are missing there too are left
        to be rendered.

        Args:
            earlier: The folder of the earlier bake.
            track: The track of this folder.

        Raises:
            OSError: The earlier track cannot be read, or a file cannot be written here.
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
    """Return whether a row of two tracks has the same frame number and the same image.

    Args:
        old: A track.
        new: Another track.
        row: The row; False if one of the tracks does not have it.
    """
    if old.first_number != new.first_number or not 0 <= row < min(len(old), len(new)):
        return False
    same_model = old.model_sha256 == new.model_sha256
    return same_model and old.picture(row).equals(new.picture(row))


def rows_by_key(
    track: Track, latent_shape: tuple[int, int], points: int, *, has_regions: bool = False
) -> dict[bytes, SolvedRow]:
    """Return the rows of a bake's track by their keys, as they were before smoothing.

    Args:
        track: Any track.
        latent_shape: ``num_ws`` and ``w_dim`` of the model.
        points: How many handles the edit has.
        has_regions: Whether the edit has regions, so that rows have turns.

    Returns:
        Empty if the track is not of a bake, or not of such a model or such an edit.
    """
    baked = track.baked
    if baked is None or track.start.shape != latent_shape or len(track.targets_px) != points:
        return {}
    if bool(baked.turns.size) != has_regions:
        return {}
    latents, handles_px = track.solved_latents(), track.solved_handles_px()
    turns = baked.turns if has_regions else np.empty((len(track), 0, 2), np.float32)
    return {
        baked.keys[row].tobytes(): SolvedRow(
            latent=latents[row],
            handles_px=handles_px[row],
            turns=turns[row],
            distance_px=float(track.distances_px[row]),
            loss=float(track.losses[row]),
            steps=int(baked.steps[row]),
            status=STATUSES[baked.statuses[row]],
        )
        for row in range(len(track))
        if are_numbers_sound(track.distances_px[row], track.losses[row], int(baked.steps[row]))
    }
