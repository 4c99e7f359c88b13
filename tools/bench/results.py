# SPDX-License-Identifier: GPL-3.0-or-later
"""The results on disk: one JSON line for each drag, so that a run can be stopped and extended.

A line contains everything that its figures depend on (``Drag``): list, pair and setting, the row's
options and code, and the files of model and detector. A drag with a stored result is not measured
again; a new row, a new default or a new model is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.arrays import FloatArray


class Drag(NamedTuple):
    """What a result's figures depend on.

    Attributes:
        pairs: Name of the list of pairs, a key of ``pairs.FIRST_SEEDS``.
        pair: Number of the pair in the list, from 0.
        setting: One of ``pairs.SETTINGS``.
        row: ``Row.key``, not the row's name.
        model: SHA-256 of the model file.
        detector: SHA-256 of the detector file.
    """

    pairs: str
    pair: int
    setting: str
    row: str
    model: str
    detector: str


@dataclass(frozen=True)
class Result:
    """The figures of one drag.

    Attributes:
        drag: What they depend on.
        latent: The latent at the end, ``num_ws x w_dim`` float32 as ``encode_latent`` writes it.
        measures: Numbers by name: those of ``measures``, and steps, seconds and the like.
    """

    drag: Drag
    latent: str
    measures: Mapping[str, float]


def encode_latent(latent: FloatArray) -> str:
    """Return a latent ``num_ws x w_dim`` float32 as base64 of its little-endian bytes."""
    return base64.b64encode(np.ascontiguousarray(latent, dtype="<f4").tobytes()).decode()


def decode_latent(text: str, shape: tuple[int, int]) -> FloatArray:
    """Return the latent of a text that ``encode_latent`` made.

    Args:
        text: Base64.
        shape: ``(num_ws, w_dim)``.

    Returns:
        ``num_ws x w_dim`` float32.

    Raises:
        ValueError: The text is not base64, or it holds another number of values.
    """
    return np.frombuffer(base64.b64decode(text), dtype="<f4").reshape(shape).astype(np.float32)


class ResultStore:
    """The results in one file, to which lines are only appended."""

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        """Read the file if it exists.

        Args:
            path: The file; its folder is made if it is missing.
            fresh: Whether to delete the stored results first.
        """
        self._path = path
        self._results: dict[Drag, Result] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            path.unlink(missing_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        for line in text.splitlines():
            self._read(line)
        if text and not text.endswith("\n"):
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")  # otherwise the next result would be appended to the partial line

    def _read(self, line: str) -> None:
        try:
            content: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            return  # a partial line of a run that was killed: that drag is measured again
        drag = Drag(**content.pop("drag"))
        self._results[drag] = Result(drag, **content)

    def __contains__(self, drag: Drag) -> bool:
        return drag in self._results

    def __getitem__(self, drag: Drag) -> Result:
        return self._results[drag]

    def add(self, results: Iterable[Result]) -> None:
        """Append results to the file."""
        with self._path.open("a", encoding="utf-8") as file:
            for result in results:
                content = asdict(result) | {"drag": result.drag._asdict()}
                file.write(json.dumps(content) + "\n")
                self._results[result.drag] = result
