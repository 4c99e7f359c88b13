# SPDX-License-Identifier: GPL-3.0-or-later
"""Double precision is for the CPU: Apple's GPUs (MPS) have no float64, and refuse to make one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for name in ("engine", "stylegan2") for path in (ROOT / name).rglob("*.py"))
WIDE = {"torch.float64", "torch.double", "torch.complex128"}
# What makes a tensor on the CPU if no device is given.
MAKERS = {"torch.tensor", "torch.zeros", "torch.ones", "torch.empty", "torch.arange"}


def wide_off_the_cpu(source: str) -> list[int]:
    """Return the lines that may make a float64 tensor elsewhere than on the CPU."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        if isinstance(node.func, ast.Attribute) and node.func.attr == "double":
            is_safe = ast.unparse(node.func.value).endswith(".cpu()")
        elif WIDE & {ast.unparse(value) for value in values}:
            is_placed = any(keyword.arg == "device" for keyword in node.keywords)
            is_safe = (name in MAKERS and not is_placed) or name.endswith(".cpu().to")
        else:
            continue
        if not is_safe:
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_tensor_goes_to_the_cpu_before_it_becomes_double(path: Path) -> None:
    assert not wide_off_the_cpu(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("line", "is_wrong"),
    [
        ("x.double().cpu()", True),
        ("x.to(torch.float64)", True),
        ("torch.zeros(3, dtype=torch.float64, device=device)", True),
        ("x.cpu().double()", False),
        ("x.detach().cpu().double()", False),
        ("torch.zeros(3, dtype=torch.float64)", False),
    ],
)
def test_the_order_is_seen(line: str, is_wrong: bool) -> None:
    assert bool(wide_off_the_cpu(line)) is is_wrong
