# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny generator with seeded random weights, in memory and as a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engine.arrays import FloatArray
from engine.machine import operators
from engine.models import sample_latent
from stylegan2 import Generator, save_generator
from tests.tiny_generator import tiny_generator


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="module")
def _no_fused_operators() -> Iterator[None]:
    """Keep tests independent of their order: fused operators would stay in the process.

    The scope is ``module`` so that fixtures of this scope have no fused operators either.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operators, "start_fused_operators", lambda folder, device: None)
        yield


@pytest.fixture(scope="session")
def generator() -> Generator:
    return tiny_generator()


@pytest.fixture(scope="session")
def checkpoint(generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save ``generator`` as a checkpoint file."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_generator(generator, path)
    return path


@pytest.fixture(scope="session")
def latent(generator: Generator) -> FloatArray:
    """Return the latent of seed 3, ``num_ws x w_dim`` float32."""
    return sample_latent(generator, 3, 0.7)
