# SPDX-License-Identifier: GPL-3.0-or-later
"""The states of an image: recording what a result has made, going back, and dropping states.

A state holds all that the image is made from (seed, latent, track, sequence, still) and where the
points were. Results never overwrite the files of others, so a state can be shown again as long as
its files exist, and can be rendered again from its track afterwards.

States form a tree: a drag from an earlier state has that state as its parent. When a state is left,
its points are stored again (``note_points``): somebody who goes back finds the points as they were
just before the next drag, and the edits with their names.
"""

from __future__ import annotations

import hashlib

import bpy

from ..properties.history import DRAGGAN_PG_state
from ..properties.owners import Plane
from ..properties.stored import to_bytes, to_text
from . import (
    edits,
    images,
    mask_following,
    picture_frame,
    planes,
    point_states,
    slider_states,
    thumbnails,
    timing,
)
from .frame_files import frame_path

# What a state's name starts with, by its kind.
_WORDS = {
    "SEED": "Seed",
    "DRAG": "Drag",
    "BAKE": "Bake",
    "LATENTS": "Keys",
    "EDITS": "Edits",
    "SLIDERS": "Sliders",
    "PICTURE": "Picture",
    "LATENT": "Latent",
}
# The kinds of states that are made from no other.
_FIRST = ("SEED", "PICTURE", "LATENT")


def label(state: DRAGGAN_PG_state) -> str:
    """Return the name of a state: the one that a person gave it, or what made it."""
    if state.title:
        return str(state.title)
    if state.kind != "SEED":
        # A later version may have made it in a way that is not known here.
        return f"{_WORDS.get(state.kind, 'State')} {state.ordinal}"
    seeds = [other.seed for other in state.id_data.draggan.history.states if other.kind == "SEED"]
    truncation = f" ({state.truncation_psi:.2f})" if seeds.count(state.seed) > 1 else ""
    of_label = f", label {state.label}" if state.label_count and state.label >= 0 else ""
    return f"{_WORDS['SEED']} {state.seed}{of_label}{truncation}"


def find(plane: Plane, number: int) -> DRAGGAN_PG_state | None:
    """Return the state with a number, or None."""
    states = plane.draggan.history.states
    return next((state for state in states if state.number == number), None)


def active(plane: Plane) -> DRAGGAN_PG_state | None:
    """Return the state that the image is in; None before the first one is recorded."""
    return find(plane, plane.draggan.history.active)


def seed_state(plane: Plane) -> DRAGGAN_PG_state | None:
    """Return the state of the seed, picture or latent that the image was made from, or None."""
    settings = plane.draggan
    wanted = _key(settings.sampled_latent), settings.model_sha256
    states = (state for state in settings.history.states if state.kind in _FIRST)
    return next((state for state in states if (state.latent, state.model_sha256) == wanted), None)


def ensure(plane: Plane) -> None:
    """Record the present image, if it has no history yet: a file of an earlier version."""
    settings = plane.draggan
    if settings.latent and not settings.history.states:
        sequence = settings.sequence
        record(plane, sequence.kind if sequence.image is not None else "SEED")


def note_points(plane: Plane) -> None:
    """Store the points and the frame in the state that is about to be left."""
    ensure(plane)
    state = active(plane)
    if state is not None and _is_shown(plane, state):
        state.frame = planes.scene_of(plane).frame_current
        point_states.store(plane, state.pairs)
        state.edits = _put(plane, edits.with_names(plane, _text(plane, state.edits)))
        state.sliders = _put(plane, slider_states.with_names(plane, _text(plane, state.sliders)))


def record(plane: Plane, kind: str) -> None:
    """Add the present image as a state, which becomes the active one.

    A seed that has a state already does not get another one. A seed whose truncation was changed
    replaces its state, unless that state has a name or others were made from it; and a change of
    edits, or of sliders, replaces the one before, likewise.

    Args:
        plane: A GAN image that shows the result.
        kind: What made the result: ``SEED``, ``DRAG``, ``BAKE``, ``LATENTS``, ``EDITS`` or
            ``SLIDERS``.
    """
    history = plane.draggan.history
    state = _seed_to_reuse(plane) if kind == "SEED" else None
    if kind in ("EDITS", "SLIDERS"):
        state = _to_replace(plane, kind)
    if state is None:
        parent = history.active if kind not in _FIRST else 0
        state = history.states.add()
        history.last_number += 1
        state.number, state.parent, state.kind = history.last_number, parent, kind
        same = (other.ordinal for other in history.states if other.kind == kind)
        state.ordinal = 1 + max(same)
    history.active = state.number
    _write(plane, state)
    _drop_oldest(plane)
    _prune(plane)


def note_start(plane: Plane, picture: bytes, handles: str) -> None:
    """Store in the active state, which a drag has made, what the drag has begun with.

    The state before does not say: the drag may have begun with an earlier frame, and the points of
    that state change whenever it is left.

    Args:
        plane: The GAN image.
        picture: In the format of ``protocol.pictures``.
        handles: Where handles and pins were, see ``kept_drags.places_text``.
    """
    state = active(plane)
    if state is not None:
        state.origin, state.handles = _put(plane, to_text(picture)), handles


def origin(plane: Plane, state: DRAGGAN_PG_state) -> bytes | None:
    """Return the picture that the drag of a state has begun with, or None if it is not known.

    A state of an earlier version has begun with the image of the state before, in most cases.
    """
    text = _text(plane, state.origin)
    if text:
        return to_bytes(text)
    before = find(plane, state.parent)
    return None if before is None else latent(plane, before)


def restore(plane: Plane, state: DRAGGAN_PG_state) -> None:
    """Make a state the present image; no other state changes.

    Args:
        plane: The GAN image; no request is running for it.
        state: One of its states.

    Raises:
        EditError: The plane's material or UV map, or the state's track, cannot be used.
    """
    settings = plane.draggan
    before = [settings.still, settings.sequence.image, settings.bake.under.image]
    is_same_model = settings.model_sha256 == state.model_sha256
    settings.history.active = state.number
    source = settings.source
    source.kind, source.path = state.model_kind or "BUILT_IN", state.model_path
    settings.model_sha256, settings.w_dim = state.model_sha256, state.w_dim
    settings.latent, settings.sampled_latent = _text(plane, state.latent), sampled(plane, state)
    edits.from_stored(plane, _text(plane, state.edits))
    mask_following.restore(plane)
    slider_states.from_stored(plane, _text(plane, state.sliders), keeps_later=is_same_model)
    settings.sampled_seed, settings.sampled_psi = state.seed, state.truncation_psi
    source.seed, source.truncation_psi = state.seed, state.truncation_psi
    settings.sampled_label, settings.label_count = state.label, state.label_count
    settings.image_key = state.image_key
    if state.label_count:
        source.label = state.label
    settings.track = _text(plane, state.track)
    settings.bake.under_track = _text(plane, state.under_track)
    settings.bake.refinements = state.refinements
    settings.still = state.still
    images.copy_sequence(state.sequence, settings.sequence)
    images.copy_sequence(state.under, settings.bake.under)
    planes.fit_to_size(plane, *state.size)
    images.show_rest(plane)
    # While Blender renders an animation, the scene's current frame is its counter.
    if not bpy.app.is_job_running("RENDER") and not timing.is_retimed(plane):
        planes.scene_of(plane).frame_set(state.frame)
    point_states.restore(plane, state.pairs)
    if state.own.size_px:
        picture_frame.restore(plane, state.own, _text(plane, state.own.latent))
    settings.status, settings.failed = state.status, False
    images.remove_unused(*before)


def sampled(plane: Plane, state: DRAGGAN_PG_state) -> str:
    """Return the latent of the seed that a state was made from, as base64."""
    return _text(plane, state.sampled_latent)


def latent(plane: Plane, state: DRAGGAN_PG_state) -> bytes:
    """Return the picture of a state, in the format of ``protocol.pictures``."""
    return to_bytes(_text(plane, state.latent))


def has_files(state: DRAGGAN_PG_state) -> bool:
    """Return whether the first and the last file of a state's sequence exist."""
    sequence = state.sequence
    if sequence.image is None:
        return True
    folder = images.folder_of(sequence)
    ends = sequence.first_frame, sequence.first_frame + sequence.frame_count - 1
    return all(frame_path(folder, sequence.stem, number).is_file() for number in ends)


def update_images(plane: Plane) -> None:
    """Store the present images in the active state, after they were rendered again."""
    state = active(plane)
    if state is None or not _is_shown(plane, state):
        return
    before = [state.still, state.sequence.image]
    state.still = plane.draggan.still
    images.copy_sequence(plane.draggan.sequence, state.sequence)
    images.remove_unused(*before)


def delete(plane: Plane, number: int) -> None:
    """Delete a state; the states made from it get its parent. The present image stays as it is."""
    _drop(plane, number)
    _prune(plane)


def leave_bake(plane: Plane) -> None:
    """Make the state from before the bake the active one, after the bake was cleared."""
    state = active(plane)
    while state is not None and state.kind == "BAKE":
        state = find(plane, state.parent)
    if state is not None:
        plane.draggan.history.active = state.number
    else:
        sequence = plane.draggan.sequence
        record(plane, sequence.kind if sequence.image is not None else "SEED")


def cost_bytes(plane: Plane) -> int:
    """Return how many bytes the history's texts and thumbnails need in the .blend."""
    history = plane.draggan.history
    return sum(len(item.text) for item in history.texts) + sum(
        len(state.thumbnail) for state in history.states
    )


# ---------------------------------------------------------------- writing


def _write(plane: Plane, state: DRAGGAN_PG_state) -> None:
    """Write the present image into a state."""
    settings, source = plane.draggan, plane.draggan.source
    before = [state.still, state.sequence.image, state.under.image]
    state.model_kind, state.model_path = source.kind, source.path
    state.model_sha256, state.w_dim = settings.model_sha256, settings.w_dim
    state.size = settings.size
    state.seed, state.truncation_psi = settings.sampled_seed, settings.sampled_psi
    state.label, state.label_count = settings.sampled_label, settings.label_count
    state.image_key = settings.image_key
    state.latent = _put(plane, settings.latent)
    state.sampled_latent = _put(plane, settings.sampled_latent)
    state.edits = _put(plane, edits.to_stored(plane))
    state.sliders = _put(plane, slider_states.to_stored(plane))
    state.track = _put(plane, settings.track)
    state.under_track = _put(plane, settings.bake.under_track)
    state.refinements = settings.bake.refinements
    state.still = settings.still
    images.copy_sequence(settings.sequence, state.sequence)
    images.copy_sequence(settings.bake.under, state.under)
    state.status = settings.status
    state.frame = planes.scene_of(plane).frame_current
    state.thumbnail = _thumbnail(plane)
    point_states.store(plane, state.pairs)
    picture_frame.copy_found(settings.own, state.own)
    state.own.latent = _put(plane, settings.own.latent)
    images.remove_unused(*before)


def _thumbnail(plane: Plane) -> str:
    sequence = plane.draggan.sequence
    if sequence.image is None:
        return thumbnails.of_image(plane.draggan.still)
    number = sequence.first_frame + timing.shown_row(plane)
    return thumbnails.of_file(frame_path(images.sequence_folder(plane), sequence.stem, number))


def _is_shown(plane: Plane, state: DRAGGAN_PG_state) -> bool:
    """Return whether the present image is that of a state, and not one prepared for a farm."""
    settings = plane.draggan
    return (state.latent, state.track) == (_key(settings.latent), _key(settings.track))


def _seed_to_reuse(plane: Plane) -> DRAGGAN_PG_state | None:
    """Return the state that the present seed needs no other state beside, or None."""
    settings = plane.draggan
    state = seed_state(plane)
    if state is not None and state.latent == _key(settings.latent):
        return state
    state = _to_replace(plane, "SEED")
    if state is None:
        return None
    wanted = settings.sampled_seed, settings.sampled_label, settings.model_sha256
    return state if (state.seed, state.label, state.model_sha256) == wanted else None


def _to_replace(plane: Plane, kind: str) -> DRAGGAN_PG_state | None:
    """Return the active state if it may be replaced by a new one of a kind, or None."""
    state = active(plane)
    if state is None or state.kind != kind or state.title:
        return None
    has_children = any(other.parent == state.number for other in plane.draggan.history.states)
    return None if has_children else state


def _drop_oldest(plane: Plane) -> None:
    history = plane.draggan.history
    while len(history.states) > history.keep:
        free = (
            state.number
            for state in history.states
            if not state.title and state.number != history.active
        )
        number = next(free, 0)
        if not number:
            return
        _drop(plane, number)


def _drop(plane: Plane, number: int) -> None:
    history = plane.draggan.history
    index = next((i for i, state in enumerate(history.states) if state.number == number), -1)
    if index < 0:
        return
    state = history.states[index]
    parent = state.parent
    held = [state.still, state.sequence.image, state.under.image]
    for other in history.states:
        if other.parent == number:
            other.parent = parent
    if history.active == number:
        history.active = parent
    history.states.remove(index)
    images.remove_unused(*held)


# ---------------------------------------------------------------- texts


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest() if text else ""


def _put(plane: Plane, text: str) -> str:
    """Store a text once, and return its key; empty for an empty text."""
    key, texts = _key(text), plane.draggan.history.texts
    if key and key not in texts:
        item = texts.add()
        item.name, item.text = key, text
    return key


def _text(plane: Plane, key: str) -> str:
    item = plane.draggan.history.texts.get(key) if key else None
    return "" if item is None else str(item.text)


def _prune(plane: Plane) -> None:
    """Remove the texts that no state uses."""
    history = plane.draggan.history
    used = {
        key
        for state in history.states
        for key in (
            state.latent,
            state.sampled_latent,
            state.edits,
            state.sliders,
            state.track,
            state.under_track,
            state.origin,
            state.own.latent,
        )
    }
    for index in reversed(range(len(history.texts))):
        if history.texts[index].name not in used:
            history.texts.remove(index)
