# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny generator with seeded random weights."""

from __future__ import annotations

import pytest
import torch

from stylegan2 import Generator
from tests.tiny_generator import tiny_generator


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def generator() -> Generator:
    """Return ``tiny_generator()``; tests must not change it."""
    return tiny_generator()
