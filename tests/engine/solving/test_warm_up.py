# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np

from engine.arrays import FloatArray
from engine.solving.warm_up import warm_up
from stylegan2 import Generator


def test_a_first_step_in_advance_changes_nothing_and_needs_no_usable_latent(
    generator: Generator, latent: FloatArray
) -> None:
    before = [parameter.clone() for parameter in generator.parameters()]
    warm_up(generator, latent)
    for parameter, old in zip(generator.parameters(), before, strict=True):
        assert parameter.grad is None
        assert (parameter == old).all()
    warm_up(generator, np.full_like(latent, np.nan))
