# SPDX-License-Identifier: GPL-3.0-or-later
"""Bakes: an animated edit is sampled, solved frame by frame, and shown on the timeline.

As plain functions, like those of :mod:`.edit`. A bake starts from the plane's latent and does not
change it, so that the same edit gives the same result however often it is baked. Its folder keeps
the edit: the same edit goes on in the same folder, and of another the engine takes over the
frames that did not change.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from . import (
    edit,
    folders,
    images,
    masks,
    planes,
    playhead,
    points,
    pump,
    recovery,
    sampling,
    shown,
)
from .errors import EditError
from .protocol import Decoder, LocalProtocolError, RemoteProtocolError, encode
from .protocol.messages import FrameTarget
from .protocol.timeline import Bake, Edit

#: So many of the newest folders are searched for the edit, none with an edit over this size.
_FOLDERS = 16
_EDIT_BYTES = 64 << 20


def start_bake(plane: Any) -> int:
    """Solve every frame of the range so that the handles follow their targets. The request's id.

    A bake of the same edit that was interrupted goes on; frames that an earlier bake has solved
    and on which nothing has changed since are taken over.

    Raises:
        EditError: there is nothing to bake, a target leaves the image, or the engine cannot start.
    """
    require_idle(plane)
    return _submit(plane, make_edit(plane, frames_of(plane)))


def refine(plane: Any) -> int:
    """Solve each frame of the bake further: to half of the distance it was solved to.

    Raises:
        EditError: the plane shows no bake, or as :func:`start_bake`.
    """
    require_idle(plane)
    settings, sequence = plane.draggan, plane.draggan.sequence
    if sequence.image is None or sequence.kind != "BAKE" or not settings.track:
        raise EditError(f"{plane.name} shows no bake that could be refined; bake it first")
    frames = range(sequence.first_frame, sequence.first_frame + sequence.frame_count)
    sampled = make_edit(plane, frames)
    baked_count = shown.handles_px(settings.track).shape[1]
    if baked_count != len(sampled.handles_px):
        raise EditError(
            f"{plane.name} was baked with {baked_count} pairs, but {len(sampled.handles_px)} are "
            "enabled now; press Bake"
        )
    share = 0.5 ** (settings.bake.refinements + 1)
    finer = tuple(
        replace(entry, settings=_finer(entry.settings, share)) for entry in sampled.settings
    )
    track = base64.b64decode(settings.track)
    return _submit(plane, replace(sampled, settings=finer, refined_track=track))


def clear(plane: Any) -> None:
    """Take the bake away: what it has covered is shown again. Its folder stays.

    Raises:
        EditError: the plane shows no bake, or is being worked on.
    """
    require_idle(plane)
    settings, sequence, bake = plane.draggan, plane.draggan.sequence, plane.draggan.bake
    if sequence.image is None or sequence.kind != "BAKE":
        raise EditError(f"{plane.name} shows no bake")
    under_track, is_covering = bake.under_track, bake.under.image is not None
    paths_px = shown.handles_px(under_track) if is_covering else None
    settings.status, settings.failed = "", False
    settings.track = under_track
    if paths_px is None:
        points.clear_paths(plane)
        images.clear_sequence(plane)
    else:
        images.uncover(plane)
        points.uncover_paths(plane)
        points.write_paths(plane, sequence.first_frame, paths_px)


def frames_of(plane: Any) -> range:
    """The frames that a bake of the plane solves; from 1 on, because files have numbers.

    Raises:
        EditError: there are none.
    """
    bake = plane.draggan.bake
    frames = playhead.playback_range(planes.scene_of(plane))
    if bake.use_own_range:
        frames = range(bake.frame_start, bake.frame_end + 1)
    frames = range(max(frames.start, 1), frames.stop)
    if not frames:
        raise EditError(
            f"The frames {frames.start} to {frames.stop - 1} are none; set a range that ends after "
            "it starts, and after frame 1"
        )
    return frames


def make_edit(plane: Any, frames: range) -> Edit:
    """The plane's edit over a range of frames, sampled.

    Raises:
        EditError: it has no image, no pairs, or something lies beside the image.
    """
    settings, scene = plane.draggan, planes.scene_of(plane)
    latent = base64.b64decode(settings.latent)
    bases_px = points.bases(
        sampling.depsgraph_of(scene), plane, is_base_shown=lambda: shown.latent(plane) == latent
    )
    sampled = sampling.over_frames(plane, frames, bases_px)
    mask_spans, mask_bytes = masks.over_frames(plane, frames)
    return Edit(
        model_name=Path(edit.model_path(settings.source)).name,
        model_sha256=settings.model_sha256,
        first_number=frames.start,
        latent=latent,
        handles_px=tuple((x, y) for x, y in bases_px.tolist()),
        targets_px=np.asarray(sampled.targets_px, dtype="<f4").tobytes(),
        settings=sampled.settings,
        mask_spans=mask_spans,
        masks=mask_bytes,
        seed=settings.sampled_seed,
        sampled_psi=settings.sampled_psi,
        truncation_psi=sampled.truncation_psi,
        poses=sampling.key_frames(plane, frames),
        smoothing=settings.bake.smoothing,
    )


def read_edit(folder: Path) -> Edit | None:
    """The edit of a bake's folder; None where there is none that could be read quickly."""
    return _decoded(_stored_edit(folder))


def _decoded(stored: bytes) -> Edit | None:
    try:
        found = next(iter(Decoder(trusted=True).feed(stored)), None)
    except RemoteProtocolError:
        return None
    return found if isinstance(found, Edit) else None


def encoded(sampled: Edit) -> bytes:
    """An edit as a bake's request has it.

    Raises:
        EditError: it is too large for that.
    """
    try:
        return encode(sampled)
    except LocalProtocolError as error:
        raise EditError(
            f"The engine takes no edit this large ({error}); bake fewer frames"
        ) from None


def _finer(settings: Any, share: float) -> Any:
    return replace(settings, tolerance_px=settings.tolerance_px * share)


def require_idle(plane: Any) -> None:
    """Make sure that a bake can begin.

    Raises:
        EditError: the plane has no image, or is being worked on.
    """
    recovery.own(plane)
    edit.refuse_if_busy(plane)
    edit.require_image(plane)


def _submit(plane: Any, sampled: Edit) -> int:
    settings = plane.draggan
    data = encoded(sampled)
    path = edit.model_path(settings.source)
    folder, earlier = folders_for(plane, sampled, data)
    target = FrameTarget(
        folder=str(folder), stem=folders.stem_of(plane), first_number=sampled.first_number
    )
    request = Bake(
        request_id=pump.new_request_id(),
        model_path=path,
        model_sha256=settings.model_sha256,
        edit=data,
        frames=target,
        earlier_folder="" if earlier is None else str(earlier),
    )
    points.begin(points.enabled_pairs(plane), plane)
    settings.baking = True
    return edit.submit(plane, request, f"Bake {plane.name}")


def folders_for(plane: Any, wanted: Edit, data: bytes) -> tuple[Path, Path | None]:
    """The folder to bake into, and that of the earlier bake with the most frames in common."""
    same: Path | None = None
    earlier: Path | None = None
    most = 0
    for folder in folders.bakes_of(plane)[:_FOLDERS]:
        stored = _stored_edit(folder)
        if stored == data and same is None and folders.is_current(plane, folder):
            same = folder
        elif stored:
            rows = _rows_in_common(wanted, stored, folder)
            if rows > most:
                earlier, most = folder, rows
    return same or folders.new_bake(plane), earlier


def _stored_edit(folder: Path) -> bytes:
    """The edit of a bake's folder; empty where there is none that could be read quickly."""
    path = folder / folders.EDIT_FILE
    with suppress(OSError):
        if path.stat().st_size <= _EDIT_BYTES:
            return path.read_bytes()
    return b""


def _rows_in_common(wanted: Edit, stored: bytes, folder: Path) -> int:
    """How many frames of another edit's bake can be taken over: an estimate, to choose by."""
    found = _decoded(stored)
    if found is None or any(
        getattr(found, name) != getattr(wanted, name)
        for name in ("model_sha256", "latent", "handles_px", "refined_track")
    ):
        return 0
    count = min(found.frame_count, wanted.frame_count)
    size = 8 * len(wanted.handles_px)
    rows = [
        np.frombuffer(one.targets_px[: count * size], np.uint8).reshape(count, size)
        for one in (found, wanted)
    ]
    differing = np.flatnonzero((rows[0] != rows[1]).any(axis=1))
    equal = int(differing[0]) if len(differing) else count
    if not (folder / "track.npz").exists():
        equal = min(equal, sum(1 for _ in folder.glob("*.png")))
    return equal
