# SPDX-License-Identifier: GPL-3.0-or-later
"""The two states in which a generator is used."""

from __future__ import annotations

import pytest

from stylegan2 import Generator

from .making import random_generator, tiny_config


@pytest.fixture
def trainable() -> Generator:
    """A trainable 16 px generator."""
    return random_generator(tiny_config())


@pytest.fixture
def frozen() -> Generator:
    """A frozen 16 px generator."""
    return random_generator(tiny_config()).freeze()
