# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test that ``docs/reliability.md`` names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "reliability.md"
NAMED = sorted(set(re.findall(r"`((?!tools/)[\w/]+\.py(?:::[\w.]+)?)`", PAGE.read_text("utf-8"))))


def test_the_page_names_tests() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize("named", NAMED)
def test_a_named_test_exists(named: str) -> None:
    file, _, name = named.partition("::")
    assert (TESTS / file).is_file()
    if not name:
        return
    body = ast.parse((TESTS / file).read_text("utf-8")).body
    for part in name.split("."):
        kinds = ast.FunctionDef | ast.ClassDef
        found = [one for one in body if isinstance(one, kinds) and one.name == part]
        assert found, f"{file} has no {part}"
        body = found[0].body
