# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of the command measures, and where its results and pictures are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..results import Drag, Result, ResultStore
from ..rows import Row
from .drags import LocalDrag
from .runs import Job


@dataclass(frozen=True)
class Plan:
    """What a run of the command measures.

    Attributes:
        name: The list, a key of ``FIRST_SEEDS``.
        drags: The drags of the list that are made.
        settings: How they are made, keys of ``SETTINGS``.
        rows: The rows to compare.
        model: The model file.
        detector: The detector file.
        max_steps: Largest number of steps of one drag.
        code: What all results depend on besides row, model and detector.
        model_sha256: SHA-256 of the model file.
        detector_sha256: SHA-256 of the detector file.
        out: The folder of results and pictures.
    """

    name: str
    drags: tuple[LocalDrag, ...]
    settings: tuple[str, ...]
    rows: tuple[Row, ...]
    model: Path
    detector: Path
    max_steps: int
    code: str
    model_sha256: str
    detector_sha256: str
    out: Path

    def key(self, drag: LocalDrag, setting: str, row: Row) -> Drag:
        """Return the key of the result of one drag."""
        code = f"{row.key(self.max_steps)} {self.code}"
        return Drag(self.name, drag.number, setting, code, self.model_sha256, self.detector_sha256)

    def kept(self, drag: LocalDrag, setting: str, row: Row) -> Path:
        """Return the file in which the end of a drag is kept."""
        facts = (self.name, drag.digest, setting, row.key(self.max_steps), self.model_sha256)
        name = hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
        return self.out / "ends" / f"{name}.npz"

    def jobs(self, store: ResultStore) -> list[Job]:
        """Return the drags whose results are not in the store."""
        return [
            Job(
                drag=drag,
                masked=setting == "mask",
                row=row,
                key=key,
                max_steps=self.max_steps,
                kept=self.kept(drag, setting, row),
            )
            for drag in self.drags
            for setting in self.settings
            for row in self.rows
            if (key := self.key(drag, setting, row)) not in store
        ]

    def results(
        self, store: ResultStore, setting: str, drags: Iterable[LocalDrag] | None = None
    ) -> dict[str, list[Result]]:
        """Return each row's stored results for a setting, in the drags' order, by its name."""
        chosen = self.drags if drags is None else tuple(drags)
        keys = {row.name: [self.key(drag, setting, row) for drag in chosen] for row in self.rows}
        return {name: [store[key] for key in of if key in store] for name, of in keys.items()}
