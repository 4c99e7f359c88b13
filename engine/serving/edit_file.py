# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads edits from messages and from edit files, and converts them for the algorithms.

An edit file holds one encoded ``Edit`` message. It may come from another machine, so it is checked
like data from the connection.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from draggan_blender.protocol import Decoder, RemoteProtocolError
from draggan_blender.protocol.codec import MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES
from draggan_blender.protocol.layering import TooManyLayersError, mixed, separated
from draggan_blender.protocol.plain_files import read_plain_file
from draggan_blender.protocol.timeline import Edit

from ..arrays import FloatArray
from ..baking.animated_edit import AnimatedEdit, Refined, Truncation
from ..errors import RequestError
from ..models import LoadedModel
from ..output.track import Track
from ..pictures import Picture
from ..solving.options import DragOptions
from ..solving.regions import turn_of
from .job_parts import locked_of

_MAX_FILE_BYTES = MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES + 8


def read_edit_file(path: Path) -> bytes:
    """Return the bytes of an edit file; ``decode_edit`` checks whether they are an edit.

    Raises:
        OSError: The file cannot be read, is no regular file, or is larger than an edit can be.
    """
    return read_plain_file(path, _MAX_FILE_BYTES)


def decode_edit(data: bytes, name: str = "the edit") -> Edit:
    """Decode the bytes of one encoded ``Edit`` message.

    Args:
        data: The content of an edit file, or ``Bake.edit``.
        name: What to call the edit in an error.

    Raises:
        RequestError: The bytes are not an edit, are damaged, or are of another version.
    """
    decoder = Decoder(trusted=True)
    try:
        messages = list(islice(decoder.feed(data), 2))
    except RemoteProtocolError as error:
        raise RequestError(
            f"{name} is not an edit that this version can read, or it is damaged ({error}); "
            "save it again from Blender"
        ) from None
    if len(messages) != 1 or decoder.mid_frame or not isinstance(messages[0], Edit):
        raise RequestError(
            f"{name} is not one complete edit, or it is damaged; save it again from Blender"
        )
    return messages[0]


def animated_edit(edit: Edit, model: LoadedModel) -> AnimatedEdit:
    """Convert an ``Edit`` message into the form that the algorithms take.

    Args:
        edit: The decoded message; its frames are numbered as in the scene.
        model: The model that the edit was made with.

    Returns:
        The edit with rows from 0 in place of frame numbers, and arrays in place of bytes.

    Raises:
        RequestError: The edit belongs to another model, a point is outside the image, or the parts
            of the edit do not fit each other.
    """
    model.require(edit.model_sha256)
    generator = model.generator
    _, height, width = generator.img_shape
    first_number, points = edit.first_number, len(edit.handles_px)
    truncation = None
    if edit.truncation_psi:
        truncation = Truncation.of_seed(
            generator, edit.seed, edit.sampled_psi, edit.truncation_psi, edit.label
        )
    radii_px, turns = _regions(edit)
    picture = model.picture(edit.latent)
    targets = np.frombuffer(edit.targets_px, dtype="<f4").reshape(-1, points, 2)
    return AnimatedEdit(
        first_number=first_number,
        latent=picture.latent,
        layers=picture.layers,
        pictures=_pictures(edit, model),
        handles_px=_finite(edit.handles_px),
        targets_px=targets.astype(np.float32),
        image_size=(width, height),
        options=tuple(
            (one.number - first_number, DragOptions(**asdict(one.settings)))
            for one in edit.settings
        ),
        mask_rows=tuple((one.number - first_number, one.index) for one in edit.mask_spans),
        masks=model.masks(edit.masks),
        truncation=truncation,
        poses=tuple(number - first_number for number in edit.poses),
        smoothing=edit.smoothing,
        refined=_refined(edit, model, points),
        radii_px=radii_px,
        turns=turns,
        moves=_moves(edit, model),
        locked=locked_of(edit, model),
    )


def _finite(values: Any) -> FloatArray:
    """Return numbers of a message as float32.

    Raises:
        RequestError: A number is too large for that.
    """
    with np.errstate(over="ignore"):
        found = np.array(values, dtype=np.float32)
    if not np.isfinite(found).all():
        raise RequestError("a point or a radius of the edit is not a usable number; bake it again")
    return found


def _moves(edit: Edit, model: LoadedModel) -> FloatArray | None:
    """Return what animated sliders add to the latent of each frame; None without them."""
    if not edit.sliders:
        return None
    changes = model.latents(edit.sliders)
    strengths = np.array(edit.slider_changes, np.float32).reshape(edit.frame_count, -1)
    if strengths.shape[1] != len(changes):
        raise RequestError(
            f"the edit has {strengths.shape[1]} strengths for {len(changes)} sliders; bake it again"
        )
    moves: FloatArray = np.tensordot(strengths, changes, axes=1).astype(np.float32)
    return moves


def _pictures(edit: Edit, model: LoadedModel) -> tuple[Picture, ...]:
    """Return the picture that each frame starts from; empty if no strength is animated."""
    if not edit.layered:
        return ()
    model.picture(edit.layered)  # refuses what does not fit the model
    base, changes = separated(edit.layered, model.generator.w_dim)
    strengths = np.array(edit.strengths, np.float32).reshape(edit.frame_count, -1)
    if strengths.shape[1] != len(changes):
        raise RequestError(
            f"the edit has {strengths.shape[1]} strengths for {len(changes)} masked edits; bake it "
            "again"
        )
    try:
        pictures = mixed(base, changes, strengths.tolist())
    except TooManyLayersError as error:
        raise RequestError(str(error)) from None
    made = {data: model.picture(data) for data in set(pictures)}
    return tuple(made[data] for data in pictures)


def _regions(edit: Edit) -> tuple[FloatArray, FloatArray]:
    """Return the radii and the wanted ``z`` of regions, both empty if no pair is a region."""
    radii_px = _finite(edit.radii_px)
    if not radii_px.any():
        return radii_px[:0], np.empty((0, 0, 2), np.float32)
    turns = np.frombuffer(edit.turns, dtype="<f4").reshape(-1, len(radii_px), 2)
    if not np.isfinite(turns).all() or (turns[..., 1] <= 0).any():
        raise RequestError("the edit's turns are not finite, or a scale is not above 0; bake again")
    return radii_px, turn_of(turns[..., 0], turns[..., 1])


def _refined(edit: Edit, model: LoadedModel, points: int) -> Refined | None:
    if not edit.refined_track:
        return None
    track = Track.from_bytes(edit.refined_track)
    model.require(track.model_sha256)
    shape = (model.generator.num_ws, model.generator.w_dim)
    if track.start.shape != shape or len(track.targets_px) != points:
        raise RequestError(
            f"the track to refine has {len(track.targets_px)} handles and latents of "
            f"{' x '.join(map(str, track.start.shape))}, but the edit has {points} handles and "
            f"latents of {shape[0]} x {shape[1]}; bake the edit again"
        )
    latents, handles_px = track.solved_latents(), track.solved_handles_px()
    if not any(edit.radii_px):
        return Refined(latents=latents, handles_px=handles_px)
    turns = np.tile(np.array([1.0, 0.0], np.float32), (len(track), points, 1))
    if track.baked is not None and track.baked.turns.size:
        is_region = np.array(edit.radii_px) > 0
        turns[:, is_region] = track.baked.turns[:, is_region]
    return Refined(latents=latents, handles_px=handles_px, turns=turns)
