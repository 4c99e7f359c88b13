# SPDX-License-Identifier: GPL-3.0-or-later
"""The results on disk: one JSON line for each drag, so that a run can be stopped and extended.

A line says all that its figures depend on (`Drag`): the list and the pair, the setting, the row's
options, and the files of model and detector.  What was measured once under all of these is not
measured again; a new row, a new default or a new model is.
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
        pairs: name of the list.
        pair: number in the list.
        setting: of `pairs.SETTINGS`.
        row: `Row.key`, not its name.
        model: the model file's SHA-256.
        detector: the detector file's SHA-256.
    """

    pairs: str
    pair: int
    setting: str
    row: str
    model: str
    detector: str


@dataclass(frozen=True)
class Result:
    """What was measured of one drag.

    Attributes:
        latent: of the end, `num_ws * w_dim` float32 in base64.
        measures: numbers by name, those of `measures` and the drag's own.
    """

    drag: Drag
    latent: str
    measures: Mapping[str, float]


def encode_latent(latent: FloatArray) -> str:
    """`num_ws x w_dim` float32 as text."""
    return base64.b64encode(np.ascontiguousarray(latent, dtype="<f4").tobytes()).decode()


def decode_latent(text: str, shape: tuple[int, int]) -> FloatArray:
    """The inverse of `encode_latent`."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4").reshape(shape).astype(np.float32)


class ResultStore:
    """A file that only grows."""

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        """Read what is there; `fresh` throws it away first."""
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
                file.write("\n")  # or the next result would be lost in the half line

    def _read(self, line: str) -> None:
        try:
            content: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            return  # the half line of a run that was killed: that drag is made again
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
