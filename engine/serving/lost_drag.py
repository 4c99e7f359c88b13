# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the steps of a drag in its folder, and makes a result of those of a lost engine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from draggan_blender.protocol.drag_messages import Drag
from draggan_blender.protocol.file_names import DRAG_JOURNAL_FILE
from draggan_blender.protocol.lost_drag import KeptEnd, KeptStep
from draggan_blender.protocol.pairs import HandleState, Pair

from ..arrays import ByteArray
from ..errors import RequestError
from ..inputs import check_latent
from ..models import LoadedModel
from ..pictures import OpenPicture
from ..solving.loop import tolerance_of
from ..solving.options import DragOptions
from ..solving.points import RowPoints
from ..solving.result import DragResult, DragStatus, DragStep, Record, RowReport
from .drag_journal import DragJournal, read_steps
from .live_points import LivePairs, points_of


def journal_path(request: Drag) -> Path:
    """Return where the steps of a drag are kept while it is not finished."""
    return Path(request.frames.folder) / DRAG_JOURNAL_FILE


def forget_kept(request: Drag) -> None:
    """Remove the steps that were kept of a drag."""
    with contextlib.suppress(OSError):
        journal_path(request).unlink(missing_ok=True)


class Keeper:
    """Appends the steps of one drag to its journal."""

    def __init__(self, request: Drag, options: DragOptions) -> None:
        self._journal = DragJournal(journal_path(request))
        self._num_layers = options.num_layers
        self._pairs: Sequence[Pair] = ()
        self._opened: OpenPicture | None = None

    def add(self, step: DragStep, live: LivePairs, handles: tuple[HandleState, ...]) -> None:
        """Keep a step.

        Args:
            step: The step.
            live: The pairs that it was made with.
            handles: Their handles.
        """
        is_wider = self._opened not in (None, step.opened) and live.mask is not None
        self._journal.append(
            KeptStep(
                loss=step.loss,
                latent=step.latent[: self._num_layers].cpu().numpy().astype("<f4").tobytes(),
                handles=handles,
                pairs=() if live.pairs is self._pairs else tuple(live.pairs),
                mask=live.mask.tobytes() if is_wider and live.mask is not None else b"",
            )
        )
        self._pairs, self._opened = live.pairs, step.opened

    def end(self, result: DragResult) -> None:
        """Note which of the steps are the result; its files are not written yet."""
        self._journal.append(KeptEnd(steps=len(result.latents)))

    def close(self) -> None:
        """Remove the journal: the drag is finished, or has ended without a result."""
        self._journal.remove()


def result_of_kept(
    request: Drag,
    model: LoadedModel,
    options: DragOptions,
    opened: OpenPicture,
    mask_of: Callable[[bytes], ByteArray | None],
) -> DragResult:
    """Return the result of the steps that a lost engine has kept.

    Args:
        request: The request of the drag.
        model: Its model.
        options: Its options.
        opened: The picture that it began with.
        mask_of: Returns the mask of a message.

    Raises:
        RequestError: There are no such steps.
        OSError: The journal cannot be read.
    """
    start = check_latent(model.generator, opened.latent)
    record: Record | None = None
    keys: tuple[int, ...] = ()
    for kept in read_steps(journal_path(request)):
        latent = start.clone()
        values = np.frombuffer(kept.latent, "<f4") if len(kept.latent) % 4 == 0 else np.empty(0)
        edited = latent[: options.num_layers]
        if values.size != edited.numel() or not np.isfinite(values).all():
            break
        edited[:] = torch.from_numpy(values.astype(np.float32)).view_as(edited)
        if kept.pairs:
            keys = tuple(pair.key for pair in kept.pairs)
            points = RowPoints.of(points_of(kept.pairs))
            if record is None:
                record = Record(start, len(edited), points, opened=opened)
            record.begin_with(points, tuple(handle.is_flat for handle in kept.handles))
        assert record is not None, "the first step has pairs"
        if keys != tuple(handle.key for handle in kept.handles):
            break
        if kept.mask and record.opened is not None:
            mask = mask_of(kept.mask)
            record.opened = (None if mask is None else record.opened.widened(mask)) or record.opened
        record.add(latent, _report(kept, record.points))
    if record is None or not record.losses:
        raise RequestError("the engine has ended before the first step of the drag was kept")
    reason = f"the engine has ended after step {len(record.losses) - 1}"
    return record.result(DragStatus.STOPPED, reason, 0.0, tolerance_of(options, len(keys)))


def _report(kept: KeptStep, points: RowPoints) -> RowReport:
    """Return the numbers of a step."""
    places_px = np.array([handle.place_px for handle in kept.handles], np.float32)
    turns = np.array([(handle.angle, handle.scale) for handle in kept.handles], np.float32)
    return RowReport(
        loss=kept.loss,
        settled=False,
        exhausted=False,
        strained=False,
        places_px=places_px,
        distances_px=np.array([handle.distance_px for handle in kept.handles], np.float32),
        turns=None if points.turns is None else turns,
        points_px=places_px,
    )
