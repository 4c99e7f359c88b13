# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a drag, kept in its folder in case that its engine is lost, and their use.

While a drag runs, the engine appends each step as an encoded ``KeptStep`` to
``file_names.DRAG_JOURNAL_FILE``. After a lost engine, the next one gets a ``FinishDrag`` with the
fields of the drag, and makes its result of these steps, as ``Stop`` would have done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .drag_messages import Drag
from .errors import require
from .messages import Message
from .pairs import HandleState, Pair, require_count, require_pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishDrag(Drag):
    """Make the result of a drag whose engine was lost, of the steps in its folder.

    Nothing is solved. The events and the ending are those of a ``Drag`` that was stopped after the
    last step that was kept; ``pairs`` and ``live`` are not used.
    """

    kind: ClassVar[str] = "finish_drag"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptStep(Message):
    """A step of a drag, in the journal of its folder; it is not sent.

    Attributes:
        loss: The method's loss.
        latent: The part of the latent that may change, ``L x w_dim`` float32, little-endian.
        handles: The handles, in the order of the pairs.
        pairs: The pairs that the step was made with; empty for those of the step before.
        mask: What the mask has grown to since the step before, see ``live.ReplacePairs``; empty
            if it has not.
    """

    kind: ClassVar[str] = "kept_step"
    loss: float
    latent: bytes
    handles: tuple[HandleState, ...]
    pairs: tuple[Pair, ...] = ()
    mask: bytes = b""

    def __post_init__(self) -> None:
        if self.pairs:
            require_pairs(self.pairs)
        require(bool(self.handles), "a kept step has no handles")
        require_count(len(self.handles))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEnd(Message):
    """The last record of a journal: the drag has ended, and its result has the first steps of it.

    Attributes:
        steps: How many steps belong to the result, the start included.
    """

    kind: ClassVar[str] = "kept_end"
    steps: int

    def __post_init__(self) -> None:
        require(self.steps > 0, f"steps must be positive, not {self.steps}")


LOST_DRAG_MESSAGES: tuple[type[Message], ...] = (FinishDrag, KeptStep, KeptEnd)
