# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving handles: during a drag, along the sequence of a result, and back.

A pin is never moved: its handle is its target.

A pair stores its *slot*, the position of its handle in the rows of the running drag or bake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import EditError
from ..properties.owners import Plane
from ..properties.pair import DRAGGAN_PG_pair
from ..properties.stored import to_bytes, to_text
from ..protocol.pairs import HandleState
from . import placing, points, timing


def begin(pairs: Sequence[DRAGGAN_PG_pair], plane: Plane) -> None:
    """Store which pairs a drag or bake uses, in which order, and where all handles are."""
    for pair in plane.draggan.pairs:
        pair.slot = -1
        _store_start(pair)
    for slot, pair in enumerate(pairs):
        pair.slot = slot


def change(pairs: Sequence[DRAGGAN_PG_pair], plane: Plane) -> None:
    """Store which pairs a running drag uses from now on, in which order.

    New ones start where they are. Handles of pairs that the drag no longer uses stay where they
    are.
    """
    slots = {pair.key: slot for slot, pair in enumerate(pairs)}
    for pair in plane.draggan.pairs:
        slot = slots.get(pair.key, -1)
        if (slot < 0) != (pair.slot < 0):
            _store_start(pair)
        pair.slot = slot


def use_keys(keys: Sequence[int], plane: Plane) -> None:
    """Store the order of the rows of a result, given the keys of its pairs."""
    slots = {key: slot for slot, key in enumerate(keys)}
    for pair in plane.draggan.pairs:
        pair.slot = slots.get(pair.key, -1)


def move_handles(plane: Plane, handles: Sequence[HandleState]) -> None:
    """Move the handles of the running drag to where the engine tracked them.

    The states of the handles are stored, too, except that they have not come to their targets.

    Args:
        plane: The GAN image.
        handles: The handles of a step; a handle whose pair the drag does not use is ignored.
    """
    pairs = {pair.key: pair for pair in plane.draggan.pairs if _is_moved(pair)}
    moved = [handle for handle in handles if handle.key in pairs]
    if not moved:
        return
    locations = placing.to_local(plane, [handle.place_px for handle in moved])
    sign = placing.turning_sign(plane)
    for handle, location in zip(moved, locations, strict=True):
        pair = pairs[handle.key]
        timing.release(pair.handle)
        pair.handle.location[:2] = location
        if pair.radius:
            angle, scale = pair.start_turn
            _turn(pair, (angle + sign * handle.angle, scale * handle.scale))
        points.set_state(pair, _state(handle))


def store_states(plane: Plane, handles: Sequence[HandleState], tolerance_px: float) -> None:
    """Store how the handles have come out of a drag, with the handles at the end of their paths.

    Args:
        plane: The GAN image.
        handles: The handles at the end of the drag.
        tolerance_px: A handle that is farther than this from its target has not come to it, and
            what is farther than this from its pin has not stayed.
    """
    found = {handle.key: handle for handle in handles}
    for pair in plane.draggan.pairs:
        handle = found.get(pair.key)
        if handle is None:
            continue
        state = _state(handle)
        if state != "LOST" and handle.distance_px > tolerance_px:
            state = "SHORT"
        points.set_state(pair, state)


def _state(handle: HandleState) -> str:
    if handle.is_lost:
        return "LOST"
    if handle.is_held:
        return "MASKED"
    return "FLAT" if handle.is_flat else "FINE"


def restore_handles(plane: Plane) -> None:
    """Put the handles of the last drag back to where they were when it began."""
    for pair in plane.draggan.pairs:
        if pair.slot >= 0 and _is_moved(pair):
            _go_to(pair, pair.start, pair.start_turn)
            timing.hold(pair.handle)


def send_home(plane: Plane) -> None:
    """Put the handles back to where they were before the first drag of this image."""
    for pair in plane.draggan.pairs:
        if pair.dragged and _is_moved(pair):
            _go_to(pair, pair.home, pair.home_turn)
        pair.dragged, pair.slot = False, -1
    points.clear_states(plane)


@dataclass(frozen=True, kw_only=True)
class Before:
    """Where the handles are in the images that come before a result in its sequence.

    Attributes:
        count: How many images these are.
        paths: For the key of each pair whose handle they move, ``count x 2`` or ``count x 4``, as
            for ``timing.write_path``.
        slots: The positions in the track of the pairs that the result does not move, by their keys.
    """

    count: int = 0
    paths: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    slots: Mapping[int, int] = field(default_factory=dict)


def read_before(plane: Plane, count: int, slots: Mapping[int, int]) -> Before:
    """Return where the handles are in the first images of the shown sequence.

    Args:
        plane: The GAN image.
        count: How many images; after the end of the sequence, its last one is repeated.
        slots: As ``Before.slots``.
    """
    paths = {}
    for pair in plane.draggan.pairs:
        if count and pair.path_slot >= 0 and _is_moved(pair):
            path = timing.read_path(plane, pair.handle)
            if path is not None:
                paths[pair.key] = path[np.minimum(np.arange(count), len(path) - 1)]
    return Before(count=count, paths=paths, slots=slots)


def write_paths(
    plane: Plane,
    first_frame: int,
    paths_px: ArrayLike,
    bases_px: ArrayLike | None = None,
    turns: ArrayLike | None = None,
    before: Before | None = None,
) -> None:
    """Key the handles' paths of a result, and store where a Reset puts the handles.

    A handle that the previous sequence moved and this one does not move stays where it was when the
    drag or bake began.

    Args:
        plane: A GAN image that already shows the sequence of the result.
        first_frame: The scene frame of the first row of the sequence.
        paths_px: ``T x P x 2`` px, one row per frame of the result, the pairs in the order of
            their slots.
        bases_px: ``P x 2`` px, the handles in the image of the latent; None for the last row.
        turns: ``T x P x 2``, the angle and the scale of the regions, as the engine measures them;
            since the image of the latent if there are bases, otherwise since the start. None if
            no pair is a region.
        before: What comes before the result in its sequence, if anything.
    """
    rows = np.asarray(paths_px, dtype=np.float64)
    bases = placing.to_local(plane, rows[-1] if bases_px is None else bases_px)
    row, before = timing.shown_row(plane), before or Before()
    for pair in plane.draggan.pairs:
        is_taken = 0 <= pair.slot < rows.shape[1]
        pair.path_slot = pair.slot if is_taken else before.slots.get(pair.key, -1)
        if not _is_moved(pair) or not (is_taken or pair.has_base):
            continue
        if not is_taken:
            _stay(plane, pair, first_frame, len(rows), before)
            continue
        path = placing.to_local(plane, rows[:, pair.slot])
        base = bases[pair.slot]
        turn = tuple(pair.start_turn) if bases_px is None else _base_turn(pair, base)
        if turns is not None and pair.radius:
            turned = _turns_of(plane, turn, np.asarray(turns)[:, pair.slot])
            path = np.hstack((path, turned))
            if bases_px is None:
                turn = tuple(turned[-1].tolist())
        path = _continued(pair, before, path)
        timing.write_path(plane, pair.handle, first_frame, path)
        pair.handle.location[:2] = path[row, :2]
        if path.shape[1] > 2:
            _turn(pair, path[row, 2:].tolist())
        elif pair.radius:
            _turn(pair, turn)
        pair.base, pair.has_base, pair.base_turn = base, True, turn
        if not pair.dragged:
            pair.dragged, pair.home, pair.home_turn = True, pair.start, pair.start_turn


def _continued(
    pair: DRAGGAN_PG_pair, before: Before, path: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the path of a handle, with where it is in the images before.

    It is where it starts in images in which it was not moved.
    """
    start = np.array((*pair.start, *pair.start_turn))
    found = before.paths.get(pair.key, np.tile(start[:2], (before.count, 1)))
    parts = [found, path]
    if {part.shape[1] for part in parts} == {2, 4}:
        # It was no region once: it is then turned as it is when the result begins.
        parts = [np.hstack((part, np.tile(start[2:], (len(part), 1))))[:, :4] for part in parts]
    return np.vstack(parts)


def _stay(
    plane: Plane, pair: DRAGGAN_PG_pair, first_frame: int, added: int, before: Before
) -> None:
    """Put a handle that a result does not move back to where it was when the result began.

    If the images before the result move it, it keeps that path.
    """
    timing.clear_path(pair.handle)
    _go_to(pair, pair.start, pair.start_turn)
    pair.has_base = pair.key in before.paths
    if pair.has_base:
        width = before.paths[pair.key].shape[1]
        place = np.array((*pair.start, *pair.start_turn))[:width]
        path = _continued(pair, before, np.tile(place, (added, 1)))
        timing.write_path(plane, pair.handle, first_frame, path)
        pair.base, pair.base_turn = pair.start, pair.start_turn


def _base_turn(pair: DRAGGAN_PG_pair, base: Sequence[float]) -> tuple[float, ...]:
    """Return how a handle is turned at its base, given where that was when the bake began."""
    followed = pair.has_base and all(
        abs(one - other) <= points.MOVED for one, other in zip(pair.base, base, strict=True)
    )
    return tuple(pair.base_turn if followed else pair.start_turn)


def _turns_of(
    plane: Plane, turn: Sequence[float], turns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the rotations and scales of a handle, given how a region was turned: ``T x 2``.

    Args:
        plane: The GAN image.
        turn: The rotation and scale that the turns count from.
        turns: ``T x 2``, as the engine measures them.
    """
    angle, scale = turn
    sign = placing.turning_sign(plane)
    return np.column_stack((angle + sign * turns[:, 0], scale * turns[:, 1]))


def to_stored(path: NDArray[np.float64] | None) -> str:
    """Return a path of a handle as the .blend stores it; empty for None."""
    return "" if path is None else to_text(path.astype("<f4").tobytes())


def from_stored(text: str, count: int) -> NDArray[np.float64]:
    """Return a path of ``count`` images from what ``to_stored`` has returned for it.

    Raises:
        EditError: The text is damaged.
    """
    try:
        return np.frombuffer(to_bytes(text), "<f4").reshape(count, -1).astype(np.float64)
    except ValueError:
        raise EditError(
            "The path of a handle that is stored in the .blend is damaged; drag or bake again"
        ) from None


def cover_paths(plane: Plane) -> None:
    """Store which pairs belong to the sequence that a bake is about to replace, and their paths."""
    for pair in plane.draggan.pairs:
        pair.under_slot = pair.path_slot
        is_on_path = pair.path_slot >= 0 and _is_moved(pair)
        pair.under_path = to_stored(timing.read_path(plane, pair.handle) if is_on_path else None)


def uncover_paths(plane: Plane, paths_px: ArrayLike) -> None:
    """Key the paths again that handles have in the sequence that a bake had replaced.

    Args:
        plane: A GAN image that already shows that sequence.
        paths_px: ``T x P x 2`` px, from its track: files of earlier versions store no other paths.
    """
    sequence = plane.draggan.sequence
    for pair in plane.draggan.pairs:
        pair.slot = pair.under_slot
        if pair.has_base and pair.handle is not None:
            pair.start, pair.start_turn = pair.base, pair.base_turn
    write_paths(plane, sequence.first_frame, paths_px)
    row = timing.shown_row(plane)
    for pair in plane.draggan.pairs:
        if pair.under_path and _is_moved(pair):
            path = from_stored(pair.under_path, sequence.frame_count)
            timing.write_path(plane, pair.handle, sequence.first_frame, path)
            place, turn = path[row, :2].tolist(), path[row, 2:].tolist()
            _go_to(pair, place, turn or pair.base_turn)
        pair.under_path = ""


def clear_paths(plane: Plane) -> None:
    """Remove the handles' paths, and put the handles at their bases."""
    for pair in plane.draggan.pairs:
        if _is_moved(pair):
            timing.clear_path(pair.handle)
            if pair.has_base:
                _go_to(pair, pair.base, pair.base_turn)
        pair.has_base, pair.path_slot = False, -1


def _is_moved(pair: DRAGGAN_PG_pair) -> bool:
    """Return whether a pair has a handle that is moved, which a pin has not."""
    return pair.handle is not None and not pair.is_pin


def _store_start(pair: DRAGGAN_PG_pair) -> None:
    if pair.handle is not None:
        pair.start = pair.handle.location[:2]
        pair.start_turn = (pair.handle.rotation_euler.z, pair.handle.scale.x)


def _go_to(pair: DRAGGAN_PG_pair, place: Sequence[float], turn: Sequence[float]) -> None:
    pair.handle.location[:2] = place
    _turn(pair, turn)


def _turn(pair: DRAGGAN_PG_pair, turn: Sequence[float]) -> None:
    """Turn a handle about the plane's normal, and scale it."""
    pair.handle.rotation_euler.z = turn[0]
    pair.handle.scale = (turn[1],) * 3
