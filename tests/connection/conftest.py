# SPDX-License-Identifier: GPL-3.0-or-later
"""A fixture that makes runtimes with the fake engine and ends them after the test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from draggan_blender.connection.runtime import EngineSettings, Runtime
from tests.connection.driving import MakeRuntime, Scene
from tests.fake_root import make_fake_root


@pytest.fixture
def make_runtime(tmp_path: Path) -> Iterator[MakeRuntime]:
    """Return a function that makes a runtime of the fake engine with these faults and options."""
    made: list[Runtime] = []

    def make(*faults: str, options: tuple[str, ...] = ()) -> Runtime:
        folder = tmp_path / str(len(made))
        for fault in faults:
            options = (*options, "--fault", fault)
        root = make_fake_root(folder / "root", *options)
        runtime = Runtime()
        runtime.settings = lambda: EngineSettings(
            Path(sys.executable), root, "cpu", folder / "logs"
        )
        runtime.delivery = Scene()
        made.append(runtime)
        return runtime

    yield make
    for runtime in made:
        runtime.shut_down(grace_s=0.0)
        assert runtime.engine_pid is None
