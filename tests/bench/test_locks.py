# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks of the factors of the built-in model."""

from __future__ import annotations

import numpy as np
import torch

from engine.baking.animated_edit import AnimatedEdit
from engine.baking.solve import BakeReport, solve
from engine.models import ModelCache, sample_latent
from engine.solving.lock import Locked
from engine.solving.options import DragOptions
from tools.bench.locks import factors_of, of_pairs
from tools.suzanne.truth import truth_of

HANDLE = np.array([[64.0, 70.0]], np.float32)
WAY = np.array([8.0, 0.0], np.float32)


def test_a_locked_factor_stays_in_each_frame_of_a_bake() -> None:
    generator = ModelCache(torch.device("cpu")).get("suzanne").generator
    truth = truth_of(generator)
    assert truth is not None
    latent = sample_latent(generator, 150, 0.7)
    before = factors_of(truth, latent)
    changes, factor = [], 0
    for is_locked in (False, True):
        kept = of_pairs(truth)[factor : factor + 1]
        edit = AnimatedEdit(
            first_number=1,
            latent=latent,
            handles_px=HANDLE,
            targets_px=np.stack([HANDLE + part * WAY for part in (0.5, 1.0)]),
            image_size=(128, 128),
            options=((0, DragOptions(max_steps=6)),),
            locked=Locked(kept=kept) if is_locked else None,
        )
        rows = solve(generator, edit, edit.keys("suzanne"), {}, BakeReport())
        found = np.stack([np.abs(factors_of(truth, row.latent) - before) for row in rows])
        if not is_locked:
            factor = int(found[-1].argmax())
        changes.append(found[:, factor])
        way_px = rows[-1].handles_px[0] - HANDLE[0]
        assert way_px @ WAY / (WAY @ WAY) > 0.5, "the handle moves with a lock, too"
    assert changes[0][-1] > 0.1
    assert (changes[1] < 0.1 * changes[0]).all()
