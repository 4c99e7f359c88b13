# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: a trainable and a frozen generator."""

from __future__ import annotations

import pytest

from stylegan2 import Generator

from .making import random_generator, tiny_config


@pytest.fixture
def trainable() -> Generator:
    """Return a trainable 16 px generator."""
    return random_generator(tiny_config())


@pytest.fixture
def frozen() -> Generator:
    """Return a frozen 16 px generator."""
    return random_generator(tiny_config()).freeze()
