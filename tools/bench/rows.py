# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared: each row is a way to drag, by a name.

Three kinds: nothing at all (`no edit`), the paper's method literally, and the engine with some
changes to its default options.  A variant to try is one more line in `OTHERS`, or on the command
line `--row 'name:option=value,option=value'`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.arrays import ByteArray, FloatArray
from engine.errors import RequestError
from engine.solving.drag import drag
from engine.solving.options import DragOptions
from engine.solving.result import DragStatus
from stylegan2 import Generator

from .reference import ReferenceOptions, drag_literally
from .sources import fingerprint

Value = int | float | str

_HERE = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class Outcome:
    """Where a drag has ended.

    Attributes:
        latent: `num_ws x w_dim` float32.
        reached: whether the method itself says that it has reached the targets.
        steps: how many steps it made.
        seconds: of the drag alone.
    """

    latent: FloatArray
    reached: bool
    steps: int
    seconds: float


@dataclass(frozen=True)
class Row:
    """A way to drag.

    Attributes:
        kind: `none` leaves the image alone; `paper` is the reference; `engine` is `engine.drag`.
        options: changes to the defaults of `DragOptions`, for `engine` only.
    """

    name: str
    kind: Literal["none", "paper", "engine"] = "engine"
    options: Mapping[str, Value] = field(default_factory=dict)

    @property
    def is_edit(self) -> bool:
        """Whether it changes anything."""
        return self.kind != "none"

    def key(self, max_steps: int) -> str:
        """What decides the row's results, as text: options and code, but not the name."""
        code = fingerprint(f"{_HERE}.measures", f"{_HERE}.pairs")
        if self.kind == "none":
            return f"none {code}"
        if self.kind != "engine":
            return f"{self.kind} max_steps={max_steps} {code} {fingerprint(f'{_HERE}.reference')}"
        # All options, not the changes alone: a new default is another row.
        options = dataclasses.asdict(self.drag_options(max_steps))
        return f"{json.dumps(options, sort_keys=True)} {code} {fingerprint('engine.solving.drag')}"

    def drag_options(self, max_steps: int) -> DragOptions:
        """The engine's options.

        Raises:
            RequestError: there is no such option, or its value is out of range.
        """
        known = {option.name for option in dataclasses.fields(DragOptions)}
        unknown = sorted(set(self.options) - known)
        if unknown:
            raise RequestError(f"row {self.name}: a drag has no option {unknown[0]!r}")
        return DragOptions(**{"max_steps": max_steps, **self.options})  # type: ignore[arg-type]

    def run(
        self,
        generator: Generator,
        latent: FloatArray,
        handles_px: FloatArray,
        targets_px: FloatArray,
        mask: ByteArray | None,
        max_steps: int,
    ) -> Outcome:
        """Drag; arguments as for `engine.drag.drag`."""
        if self.kind == "none":
            return Outcome(latent, False, 0, 0.0)
        if self.kind == "engine":
            options = self.drag_options(max_steps)
            done = drag(generator, latent, handles_px, targets_px, options, mask=mask)
            reached = done.status is DragStatus.REACHED
            return Outcome(done.latents[-1], reached, done.steps, done.seconds)
        settings = ReferenceOptions(max_steps=max_steps)
        result = drag_literally(generator, latent, handles_px, targets_px, settings, mask=mask)
        return Outcome(result.latent, result.reached, result.steps, result.seconds)


REFERENCE = "reference"
OURS = "ours"

ROWS = {
    row.name: row
    for row in (
        Row("no edit", "none"),
        Row(REFERENCE, "paper"),
        Row(OURS),
    )
}
"""The rows of the published table, in its order."""

OTHERS = {
    row.name: row
    for row in (
        Row("draggan", options={"method": "draggan", "latent_space": "w+"}),
        Row("freedrag", options={"method": "freedrag", "latent_space": "w+"}),
    )
}
"""The other methods of the engine, to be asked for by name."""


def parse_row(text: str) -> Row:
    """Read `name:option=value,option=value` from the command line.

    Raises:
        ValueError: it is not of that form.
    """
    name, _, changes = text.partition(":")
    options: dict[str, Value] = {}
    for change in filter(None, changes.split(",")):
        option, sign, value = change.partition("=")
        if not sign:
            raise ValueError(f"a row is name:option=value,option=value, but {change!r} has no =")
        options[option.strip()] = _typed(option.strip(), value.strip())
    if not name:
        raise ValueError(f"a row needs a name before its colon: {text!r}")
    return Row(name.strip(), "engine", options)


def _typed(option: str, value: str) -> Value:
    """A value in the type of the option's default."""
    defaults = {item.name: item.default for item in dataclasses.fields(DragOptions)}
    default = defaults.get(option)
    if isinstance(default, int | float):
        return type(default)(value)
    return value
