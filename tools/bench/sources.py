# SPDX-License-Identifier: GPL-3.0-or-later
"""Fingerprints of the code that a result depends on: a module and all of ours that it imports.

A stored result must not be used any more after a change of the method that produced it. Comments,
docstrings and layout do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from pathlib import Path

from .process import ROOT

# Top-level packages whose source counts; imports from all others are ignored.
PACKAGES = ("draggan_blender", "engine", "stylegan2", "tools")


@functools.cache
def fingerprint(*modules: str) -> str:
    """Return 16 hexadecimal digits for modules and everything of ours that they import.

    Args:
        modules: Absolute names, such as ``engine.solving.drag``.
    """
    digest = hashlib.sha256()
    for path, code in sorted(sources_of(*modules).items()):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\n{code}\n".encode())
    return digest.hexdigest()[:16]


def sources_of(*modules: str) -> dict[Path, str]:
    """Return the files of modules and of everything of ours that they import.

    Args:
        modules: Absolute names, such as ``engine.solving.drag``.

    Returns:
        The ``essence`` of each file, by its path.
    """
    found: dict[Path, str] = {}
    for module in modules:
        _visit(module, found)
    return found


def essence(source: str) -> str:
    """Return a text that does not depend on a source's comments, docstrings and layout."""
    return ast.dump(_without_texts(ast.parse(source)))


def _visit(module: str, found: dict[Path, str]) -> None:
    path = _file_of(module)
    if path is None or path in found:
        return
    source = path.read_text(encoding="utf-8")
    found[path] = essence(source)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(package.split(".")[: 1 - node.level or None]) if node.level else ""
            base = ".".join(filter(None, (parent, node.module)))
            # A name imported from a package may be a module.
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            _visit(name, found)


def _file_of(module: str) -> Path | None:
    """Return the source file of one of our modules, or None for any other name."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return None
    base = ROOT.joinpath(*parts)
    for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _without_texts(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # A docstring is an expression statement that consists of a constant.
            node.body = [item for item in body if not _is_text(item)]  # type: ignore[attr-defined]
    return tree


def _is_text(item: ast.AST) -> bool:
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)
