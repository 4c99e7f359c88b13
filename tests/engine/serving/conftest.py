# SPDX-License-Identifier: GPL-3.0-or-later
"""One running engine for all tests that do not end it, because its start takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .client import EngineClient


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineClient]:
    """Yield an engine that is ready, for tests that do not end it."""
    with EngineClient(tmp_path_factory.mktemp("engine")) as client:
        client.ready()
        yield client
        assert client.process.poll() is None, client.log()
        assert list(client.temporary.iterdir()) == []
