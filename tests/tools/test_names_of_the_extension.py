# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tools take from the installed extension by its name, which no type checker sees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _used(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of each ``_ours("module").name``."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(
                value=ast.Call(func=ast.Name(id="_ours"), args=[ast.Constant(value=str(module))]),
                attr=name,
            ):
                yield module, name


def _defined(module: str) -> set[str]:
    """Return the functions and classes that a module of the extension defines."""
    path = ROOT / "draggan_blender" / Path(*module.split("."))
    source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_what_the_tools_use_of_the_extension_exists() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.glob("tools/*.py")]
    used = [pair for tree in trees for pair in _used(tree)]
    assert used, "the demo uses some"
    assert [pair for pair in used if pair[1] not in _defined(pair[0])] == []
