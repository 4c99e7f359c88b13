# SPDX-License-Identifier: GPL-3.0-or-later
"""Which code a result depends on: a fingerprint of a module and of all of ours that it imports.

A kept result must not survive a change of the method that made it.  Comments, docstrings and layout
do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("draggan_blender", "engine", "stylegan2", "tools")


@functools.cache
def fingerprint(*modules: str) -> str:
    """Return 16 hexadecimal digits for modules (``engine.solving.drag``) and their imports."""
    digest = hashlib.sha256()
    for path, code in sorted(sources_of(*modules).items()):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\n{code}\n".encode())
    return digest.hexdigest()[:16]


def sources_of(*modules: str) -> dict[Path, str]:
    """The files of modules and of all of ours that they import, each with its `essence`."""
    found: dict[Path, str] = {}
    for module in modules:
        _visit(module, found)
    return found


def essence(source: str) -> str:
    """A text that is the same for two sources that differ in comments, docstrings and layout."""
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
            # What is imported from a package may be a module of it.
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            _visit(name, found)


def _file_of(module: str) -> Path | None:
    """The source file of one of our modules, else None."""
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
            # Docstrings, those of attributes too, are expressions that are nothing but a string.
            node.body = [item for item in body if not _is_text(item)]  # type: ignore[attr-defined]
    return tree


def _is_text(item: ast.AST) -> bool:
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)
