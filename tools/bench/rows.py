# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the comparison: each is a method with its options, under a name.

There are three kinds: no edit at all, the paper's method implemented literally, and the engine with
changes to its default options. To try a variant, add a line to ``OTHERS`` or use the option
``--row 'name:option=value,option=value'``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.arrays import ByteArray, FloatArray
from engine.errors import RequestError
from engine.output.render import render_image
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
    """The end of a drag.

    Attributes:
        latent: ``num_ws x w_dim`` float32.
        reached: Whether the targets were reached according to the method itself.
        steps: Number of steps.
        seconds: Duration of the drag alone.
        handles_px: ``P x 2`` float32, where the method believes the points to be, image pixels;
            None without an edit.
        image: ``H x W x 3`` uint8, the picture that the method shows, if it is not that of the
            latent; None if it is.
    """

    latent: FloatArray
    reached: bool
    steps: int
    seconds: float
    handles_px: FloatArray | None = None
    image: ByteArray | None = None


@dataclass(frozen=True)
class Row:
    """A method to compare, with its options.

    Attributes:
        name: Its name in tables and on the command line.
        kind: ``none`` does not change the image, ``paper`` is ``reference.drag_literally``, and
            ``engine`` is ``engine.solving.drag.drag``.
        options: Changes to the defaults of ``DragOptions``; for ``engine`` only.
    """

    name: str
    kind: Literal["none", "paper", "engine"] = "engine"
    options: Mapping[str, Value] = field(default_factory=dict)

    @property
    def is_edit(self) -> bool:
        """Whether the row changes the image."""
        return self.kind != "none"

    def key(self, max_steps: int) -> str:
        """Return what decides the row's results, as text: options and code, but not the name.

        Args:
            max_steps: Largest number of steps of one drag.

        Raises:
            RequestError: As for ``drag_options``.
        """
        code = fingerprint(f"{_HERE}.measures", f"{_HERE}.pairs")
        if self.kind == "none":
            return f"none {code}"
        if self.kind != "engine":
            return f"{self.kind} max_steps={max_steps} {code} {fingerprint(f'{_HERE}.reference')}"
        # All options and not only the changes: a new default gives another key.
        options = dataclasses.asdict(self.drag_options(max_steps))
        return f"{json.dumps(options, sort_keys=True)} {code} {fingerprint('engine.solving.drag')}"

    def drag_options(self, max_steps: int) -> DragOptions:
        """Return the engine's options.

        Args:
            max_steps: Largest number of steps, unless ``options`` sets another one.

        Raises:
            RequestError: An option does not exist, or its value is out of range.
        """
        known = {option.name for option in dataclasses.fields(DragOptions)}
        unknown = sorted(set(self.options) - known)
        if unknown:
            raise RequestError(f"row {self.name}: a drag has no option {unknown[0]!r}")
        # ``drag`` measures the latent, not the picture: a mask holds softly.
        usual = {"max_steps": max_steps, "mask_mode": "soft"}
        return DragOptions(**{**usual, **self.options})  # type: ignore[arg-type]

    def run(
        self,
        generator: Generator,
        latent: FloatArray,
        handles_px: FloatArray,
        targets_px: FloatArray,
        mask: ByteArray | None,
        max_steps: int,
        *,
        judged: bool = False,
    ) -> Outcome:
        """Drag by this row's method.

        Args:
            generator: On the device to compute on.
            latent: ``num_ws x w_dim`` float32, the start.
            handles_px: ``P x 2`` float32 (x, y), image pixels.
            targets_px: The same.
            mask: ``H x W`` uint8, 255 = may change; None for no mask.
            max_steps: Largest number of steps.
            judged: Whether the engine looks for lost handles at the end, as it does in Blender.

        Raises:
            RequestError: As for ``drag_options``, or the engine refuses the drag.
        """
        if self.kind == "none":
            return Outcome(latent, False, 0, 0.0)
        if self.kind == "engine":
            options = self.drag_options(max_steps)
            done = drag(
                generator, latent, handles_px, targets_px, options, mask=mask, judged=judged
            )
            picture = done.picture(-1)
            return Outcome(
                done.latents[-1],
                done.status is DragStatus.REACHED,
                done.steps,
                done.seconds,
                done.handles_px[-1],
                render_image(generator, picture) if picture.layers else None,
            )
        settings = ReferenceOptions(max_steps=max_steps)
        result = drag_literally(generator, latent, handles_px, targets_px, settings, mask=mask)
        return Outcome(
            result.latent, result.reached, result.steps, result.seconds, result.handles_px
        )


REFERENCE = "reference"
OURS = "ours"

# The rows of the published table, in its order.
ROWS = {
    row.name: row
    for row in (
        Row("no edit", "none"),
        Row(REFERENCE, "paper"),
        Row(OURS),
    )
}
# The engine's other methods, which are measured only if they are named.
OTHERS = {
    row.name: row
    for row in (
        Row("draggan", options={"method": "draggan", "latent_space": "w+"}),
        Row("freedrag", options={"method": "freedrag", "latent_space": "w+"}),
    )
}


def parse_row(text: str) -> Row:
    """Return the row of a text ``name:option=value,option=value`` from the command line.

    Raises:
        ValueError: The text does not have this form, or a value has the wrong type.
    """
    name, _, changes = text.partition(":")
    options: dict[str, Value] = {}
    for change in filter(None, changes.split(",")):
        option, sign, value = change.partition("=")
        if not sign:
            raise ValueError(
                f"a row must be name:option=value,option=value, but {change!r} has no ="
            )
        options[option.strip()] = _typed(option.strip(), value.strip())
    if not name:
        raise ValueError(f"a row needs a name before the colon: {text!r}")
    return Row(name.strip(), "engine", options)


def _typed(option: str, value: str) -> Value:
    """Convert a value to the type of the option's default."""
    defaults = {item.name: item.default for item in dataclasses.fields(DragOptions)}
    default = defaults.get(option)
    if isinstance(default, int | float):
        return type(default)(value)
    return value
