# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake engine's bakes, tracks and sequences: the disc is painted at the first handle.

A bake writes the same files as the real one: the edit, a journal during the bake, the track and the
frames. A row depends only on the targets of its frame, so the number of rows that a bake takes over
from an earlier one can be counted.
"""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

from draggan_blender.protocol import Decoder, drag_messages
from draggan_blender.protocol import messages as m
from draggan_blender.protocol import own_picture as o
from draggan_blender.protocol import pairs as p
from draggan_blender.protocol import timeline as t
from draggan_blender.protocol.file_names import EDIT_FILE, JOURNAL_FILE, TRACK_FILE, frame_file
from tests.fake_generator import NUM_WS, SIZE_PX, W_DIM, moved, paint, preview_pixels

if TYPE_CHECKING:
    from tests.fake_engine import FakeEngine

# The handles of one frame.
Row = tuple[p.Point, ...]
Sequenced = drag_messages.Drag | m.RenderTrack | t.Bake | t.RenderLatents | o.BlendBack


def frame_path(target: m.FrameTarget, row: int) -> Path:
    """Return the path of a row's frame; row -1 is the file before the sequence."""
    return Path(target.folder) / frame_file(target.stem, target.first_number + row)


def track_of(latents: list[bytes], rows: list[Row]) -> bytes:
    """Return the bytes of a ``track.npz`` with the arrays that Blender's side reads."""
    import numpy as np

    edited = np.frombuffer(b"".join(latents), "<f4").reshape(len(latents), NUM_WS, W_DIM)
    handles = np.array(rows, np.float32).reshape(len(latents), -1, 2)
    buffer = io.BytesIO()
    np.savez(buffer, start=edited[0], edited=edited, handles_px=handles)
    return buffer.getvalue()


def latents_of(track: bytes) -> list[bytes]:
    """Return the latents of a track that ``track_of`` has made."""
    import numpy as np

    with np.load(io.BytesIO(track), allow_pickle=False) as arrays:
        return [row.tobytes() for row in arrays["edited"]]


def latents_before(request: drag_messages.Drag) -> list[bytes]:
    """Return the latents of the images that come before those of a drag."""
    latents = latents_of(request.earlier_track) if request.earlier_track else []
    return [latents[min(row, len(latents) - 1)] for row in range(request.earlier_count)]


def joined_track(
    request: drag_messages.Drag, keys: list[int], latents: list[bytes], path: list[Row]
) -> bytes:
    """Return the track of a drag with what comes before it, with the handles of both."""
    import numpy as np

    if not request.earlier_track:
        return track_of(latents, path)
    with np.load(io.BytesIO(request.earlier_track), allow_pickle=False) as arrays:
        earlier = [tuple(map(tuple, row)) for row in arrays["handles_px"].tolist()]
    columns = {key: column for column, key in enumerate(request.earlier_keys) if key}
    left = [key for key in columns if key not in keys]
    rows: list[Row] = []
    for index in range(request.earlier_count):
        row = earlier[min(index, len(earlier) - 1)]
        own = [row[columns[key]] if key in columns else path[0][i] for i, key in enumerate(keys)]
        rows.append((*own, *(row[columns[key]] for key in left)))
    shown = earlier[min(request.earlier_count, len(earlier) - 1)]
    rows += [(*row, *(shown[columns[key]] for key in left)) for row in path]
    return track_of(latents_before(request) + latents, rows)


def edit_of(data: bytes) -> t.Edit:
    """Return the edit of an encoded message."""
    (edit,) = Decoder(trusted=True).feed(data)
    assert isinstance(edit, t.Edit)
    return edit


def targets_of(edit: t.Edit) -> list[Row]:
    """Return the targets of each frame."""
    values = list(struct.iter_unpack("<2f", edit.targets_px))
    count = len(edit.handles_px)
    return [tuple(values[row : row + count]) for row in range(0, len(values), count)]


def state_of(edit: t.Edit, row: Row) -> bytes:
    """Return the latent whose handles are at these places."""
    by_px = (row[0][0] - edit.handles_px[0][0], row[0][1] - edit.handles_px[0][1])
    return moved(edit.latent, by_px)


def _solved_before(edit: t.Edit, folder: str) -> int:
    """Return how many of an edit's first rows are solved in the folder of an earlier bake."""
    path = Path(folder)
    if not folder or not (path / EDIT_FILE).exists():
        return 0
    earlier = edit_of((path / EDIT_FILE).read_bytes())
    same = (earlier.latent, earlier.handles_px) == (edit.latent, edit.handles_px)
    same = same and (earlier.radii_px, earlier.turns) == (edit.radii_px, edit.turns)
    if not same or earlier.refined_track != edit.refined_track:
        return 0
    journal, track = path / JOURNAL_FILE, path / TRACK_FILE
    solved = len(journal.read_text().splitlines()) if journal.exists() else 0
    if track.exists():
        solved = len(latents_of(track.read_bytes()))
    for index, rows in enumerate(zip(targets_of(earlier), targets_of(edit), strict=False)):
        if rows[0] != rows[1] or index >= solved:
            return index
    return min(solved, edit.frame_count)


def render_track(engine: FakeEngine, request: m.RenderTrack) -> None:
    """Write the frames of a track that a request asks for."""
    latents = latents_of(request.track)
    stop = request.first_row + request.row_count if request.row_count else len(latents)
    rows = [
        row
        for row in range(request.first_row, stop)
        if not request.skip_existing or not frame_path(request.frames, row).exists()
    ]
    _write_frames(engine, request, latents, rows)


def render_latents(engine: FakeEngine, request: t.RenderLatents) -> None:
    """Write the frames of latents, and send their track, which has no handles."""
    size = NUM_WS * W_DIM * 4
    starts = range(0, len(request.latents), size)
    latents = [request.latents[start : start + size] for start in starts]
    _write_frames(engine, request, latents, list(range(len(latents))))
    track = track_of(latents, [() for _ in latents])
    made = t.TrackMade(request_id=request.request_id, track=track, frame_count=len(latents))
    engine.send(made)


def _write_frames(
    engine: FakeEngine, request: Sequenced, latents: list[bytes], rows: list[int]
) -> None:
    """Write some frames of a sequence until the request is cancelled."""
    for done, row in enumerate(rows):
        engine.listen(0.0)
        if request.request_id in engine.cancelled:
            return
        engine.frame(request, row, latents[row])
        fraction = (done + 1) / len(rows)
        engine.send(m.Progress(request_id=request.request_id, fraction=fraction, text="Rendering"))


def bake(engine: FakeEngine, request: t.Bake) -> None:
    """Bake an edit frame by frame: each handle and region reaches its target in one step."""
    started_s = time.monotonic()
    edit, number = edit_of(request.edit), request.request_id
    folder = Path(request.frames.folder)
    known = max(_solved_before(edit, place) for place in (str(folder), request.earlier_folder))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / EDIT_FILE).write_bytes(request.edit)
    (folder / TRACK_FILE).unlink(missing_ok=True)
    rows: list[Row] = []
    steps = 0
    with (folder / JOURNAL_FILE).open("w") as journal:
        for index, row in enumerate(targets_of(edit)):
            engine.listen(engine.step_s if index >= known else 0.0)
            if number in engine.cancelled:
                return
            rows.append(row)
            before = rows[-2] if index else edit.handles_px
            made = int(row != before) if index >= known else 0
            steps += made
            shown = _preview(number, edit, index)
            engine.misbehave(shown, index + 1)
            journal.write(f"{index}\n")
            journal.flush()
            _report_frame(engine, request, edit, index, made)
            if request.previews:
                engine.send(shown)
            if number in engine.stopped:
                break
    track = track_of([state_of(edit, row) for row in rows], rows)
    (folder / TRACK_FILE).write_bytes(track)
    (folder / JOURNAL_FILE).unlink()
    engine.send(
        t.BakeFinished(
            request_id=number,
            status="done" if len(rows) == edit.frame_count else "stopped",
            reached_count=len(rows),
            solved_count=max(len(rows) - known, 0),
            steps=steps,
            seconds=time.monotonic() - started_s,
            track=track,
            frame_count=len(rows),
            handles_px=b"".join(struct.pack("<2f", *point) for row in rows for point in row),
            turns=edit.turns[: 8 * len(rows) * len(edit.handles_px)],
        )
    )


def _preview(number: int, edit: t.Edit, index: int) -> drag_messages.Preview:
    """Return the preview of a frame."""
    return drag_messages.Preview(
        request_id=number,
        drag_id=number,
        step=edit.first_number + index,
        width=SIZE_PX,
        height=SIZE_PX,
        pixels=preview_pixels(paint(state_of(edit, targets_of(edit)[index]))),
    )


def _report_frame(engine: FakeEngine, request: t.Bake, edit: t.Edit, index: int, made: int) -> None:
    """Write the file of a frame and send its events."""
    number, total = request.request_id, edit.frame_count
    if request.write_frames:
        engine.frame(request, index, state_of(edit, targets_of(edit)[index]))
    engine.send(
        t.FrameSolved(
            request_id=number, number=edit.first_number + index, steps=made, distance_px=0.0
        )
    )
    text = f"Frame {index + 1} of {total}, {made} steps"
    engine.send(m.Progress(request_id=number, fraction=(index + 1) / total, text=text))
