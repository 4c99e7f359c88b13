# SPDX-License-Identifier: GPL-3.0-or-later
"""Bakes that are kept out of directions, or held to some."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.arrays import FloatArray
from engine.baking.animated_edit import AnimatedEdit
from engine.baking.row import SolvedRow
from engine.baking.solve import BakeReport, solve
from engine.solving.drag import drag
from engine.solving.lock import Locked
from engine.solving.loop import Home
from engine.solving.options import DragOptions
from engine.solving.principal import principal_components
from stylegan2 import Generator

HANDLE = np.array([[10.0, 16.0]], np.float32)
WAY = np.array([6.0, -1.0], np.float32)
OPTIONS = DragOptions(max_steps=3)


def edit_of(latent: FloatArray, parts: list[float], **changes: Any) -> AnimatedEdit:
    """Return an edit whose handle is to go these parts of ``WAY``."""
    values: dict[str, Any] = {
        "first_number": 1,
        "latent": latent,
        "handles_px": HANDLE,
        "targets_px": np.stack([HANDLE + part * WAY for part in parts]),
        "image_size": (32, 32),
        "options": ((0, OPTIONS),),
    }
    return AnimatedEdit(**{**values, **changes})


def solved(generator: Generator, edit: AnimatedEdit) -> list[SolvedRow]:
    return solve(generator, edit, edit.keys("model"), {}, BakeReport())


def directions(generator: Generator, *numbers: int) -> FloatArray:
    """Return some principal directions, ``D x num_ws x w_dim``."""
    scaled = principal_components(generator).scaled().numpy()
    found: FloatArray = np.repeat(scaled[list(numbers)][:, None], generator.num_ws, axis=1)
    return found


def sigmas(generator: Generator, change: FloatArray) -> FloatArray:
    """Return a change of a latent in standard deviations, ``num_ws x K``."""
    components = principal_components(generator)
    found: FloatArray = (
        torch.from_numpy(change) @ components.directions.T / components.sigmas
    ).numpy()
    return found


def changes_of(generator: Generator, edit: AnimatedEdit) -> FloatArray:
    """Return what each row of a bake changes of its base, ``T x num_ws x K`` in deviations."""
    rows = solved(generator, edit)
    return np.stack(
        [sigmas(generator, row.latent - edit.inputs(n).base) for n, row in enumerate(rows)]
    )


def most_changed(changes: FloatArray) -> int:
    """Return the direction along which a bake changes its first five layers most."""
    return int(np.abs(changes[:, :5]).max(axis=(0, 1)).argmax())


def test_a_baked_frame_is_the_drag_with_that_lock(generator: Generator, latent: FloatArray) -> None:
    free = edit_of(latent, [1.0])
    number = most_changed(changes_of(generator, free))
    for locked in (
        Locked(kept=directions(generator, number)),
        Locked(along=directions(generator, 0, 1, 2, number)),
    ):
        (row,) = solved(generator, edit_of(latent, [1.0], locked=locked))
        dragged = drag(
            generator,
            latent,
            HANDLE,
            HANDLE + WAY,
            OPTIONS,
            home=Home(latent=latent, handles_px=HANDLE),
            least_steps=1,
            locked=locked,
        )
        assert row.steps == dragged.steps > 0
        np.testing.assert_array_equal(row.latent, dragged.latents[-1])
        assert np.abs(row.latent - solved(generator, free)[0].latent).max() > 1e-3


def test_what_is_locked_stays_in_each_frame_and_sliders_move_it(
    generator: Generator, latent: FloatArray
) -> None:
    parts = [0.5, 1.0, 1.0, 0.6]
    without = changes_of(generator, edit_of(latent, parts))
    number = most_changed(without)
    # A slider along the locked direction: what it does is not the bake's.
    slider = directions(generator, number)[0]
    moves = np.stack([strength * slider for strength in (0.0, 0.2, 0.4, 0.0)])
    for more in ({}, {"moves": moves}):
        locked = Locked(kept=directions(generator, number))
        kept = changes_of(generator, edit_of(latent, parts, locked=locked, **more))
        for frame, before in zip(kept, without, strict=True):
            assert np.abs(frame[:, number]).max() < 1e-3 * np.abs(before[:, number]).max()
            assert np.abs(frame).max() > 0.01


def test_a_bake_that_is_held_to_directions_has_only_their_strengths(
    generator: Generator, latent: FloatArray
) -> None:
    locked = Locked(along=directions(generator, 0, 2))
    held = changes_of(generator, edit_of(latent, [0.5, 1.0], locked=locked))
    for frame in held:
        assert np.abs(np.delete(frame, [0, 2], axis=1)).max() < 1e-3 * np.abs(frame).max()
        # A drag changes the first layers only, and all of these alike.
        moved = frame[np.abs(frame).max(axis=1) > 0]
        assert len(moved) > 1
        np.testing.assert_allclose(moved, np.broadcast_to(moved[:1], moved.shape), atol=1e-3)


def test_a_lock_is_part_of_the_keys(generator: Generator, latent: FloatArray) -> None:
    kept = directions(generator, 0)
    edits = [
        edit_of(latent, [1.0], **values)
        for values in (
            {},
            {"locked": Locked(kept=kept)},
            {"locked": Locked(along=kept)},
            {"locked": Locked(kept=directions(generator, 1))},
        )
    ]
    assert len({edit.keys("model")[0] for edit in edits}) == 4
    empty = edit_of(latent, [1.0], locked=Locked())
    assert empty.keys("model") == edits[0].keys("model")
