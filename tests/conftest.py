# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of several packages share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def operators_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the compiled operators, so that only the first test compiles them."""
    return tmp_path_factory.mktemp("operators")
