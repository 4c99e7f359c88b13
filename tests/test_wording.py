# SPDX-License-Identifier: GPL-3.0-or-later
"""The conventions of docstrings, comments and messages that ruff cannot check.

``CONTRIBUTING.md`` describes them.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("draggan_blender", "engine", "stylegan2", "tests", "tools")
SOURCES = sorted(
    [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    + [ROOT / "__init__.py", ROOT / "dev.py"]
)
PROSE = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "stylegan2").rglob("*.md"),
        *(ROOT / "tools").rglob("*.md"),
        *(ROOT / "extras").rglob("*.js"),
    ]
)

# Phrases that a reader has to decode, as patterns so that this file does not contain them.
DECODED = [
    r"\bis none (of|that)\b",
    r"\bare none\b",
    r"\bhas not the\b",
    r"\bthat is no [a-z]",
    r"\bwhose they are\b",
    r"\blies? beside\b",
    r"\bgives? way\b",
    r"\bpeople and files hand in\b",
    r"\bWho takes\b",
    r"\bWhom to\b",
    r"\bno nearer any more\b",
    r"\b(is|are) to go for\b",
    r"\bgoes unseen\b",
    r"\bbecomes scene\b",
    r"\bNothing half done\b",
    r"\bThe request's id\.",
    r"\bis none at this\b",
    r"\band no others\b",
    r"^Called by Blender\.$",
    r"^Whether there is one\.$",
]
DECODED_WORDS = re.compile("|".join(DECODED), re.MULTILINE)
ROLE = re.compile(r":(func|class|meth|mod|attr|data|exc|ref):")
SINGLE_BACKTICK = re.compile(r"(?<!`)`(?!`)[^`\n]+(?<!`)`(?!`)")
TWO_SPACES = re.compile(r"[.!?]  +(?=[A-Z`])")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def docstrings_of(tree: ast.AST) -> list[tuple[int, str]]:
    """Return the docstrings of a module as (line, text)."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=True)
            if text is not None:
                found.append((node.body[0].lineno, text))
    return found


def comments_of(source: str) -> list[tuple[int, str]]:
    """Return the comments of a module as (line, text with its ``#``)."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


def texts_of(tree: ast.AST) -> list[tuple[int, str]]:
    """Return the string literals of a module as (line, text), docstrings included."""
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_python_files_follow_the_conventions(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    wrong: list[str] = []
    comments = comments_of(source)
    for line, text in docstrings_of(tree) + comments:
        for what, pattern in (
            ("single backticks, use double ones", SINGLE_BACKTICK),
            ("a role, name the object in double backticks", ROLE),
            ("two spaces after a full stop", TWO_SPACES),
        ):
            if found := pattern.search(text):
                wrong.append(f"{line}: {what}: {found[0]!r}")
        if text.startswith("#:"):
            wrong.append(f"{line}: a comment that starts with '#:', use '#'")
    if path != Path(__file__):
        for line, text in comments + texts_of(tree):
            if found := DECODED_WORDS.search(text):
                wrong.append(f"{line}: a phrase to decode: {found[0]!r}")
    wrong += structure(tree)
    assert not wrong, "\n".join(f"{name_of(path)}:{entry}" for entry in wrong)


def structure(tree: ast.AST) -> list[str]:
    """Return what is wrong with loggers, notes on constants and starred tuples."""
    wrong = []
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented):
            wrong += [
                f"{statement.lineno}: a string as a note, use a comment above"
                for statement in node.body[1:]
                if isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            ]
        if isinstance(node, ast.Starred) and isinstance(node.value, ast.Tuple | ast.List):
            wrong.append(f"{node.lineno}: a starred literal, write its items out")
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            name, call = ast.unparse(node.targets[0]), ast.unparse(node.value)
            if "getLogger" in call and (name, call) != ("_LOG", "logging.getLogger(__name__)"):
                wrong.append(f"{node.lineno}: write _LOG = logging.getLogger(__name__)")
    return wrong


@pytest.mark.parametrize("path", PROSE, ids=name_of)
def test_pages_contain_no_phrase_to_decode(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [match[0] for match in DECODED_WORDS.finditer(text)]
    assert not found


def test_the_patterns_find_what_they_are_for() -> None:
    examples = ["the edit is " + "none at this frame", "It lies " + "beside the image"]
    assert all(DECODED_WORDS.search(example) for example in examples)
    assert SINGLE_BACKTICK.search("a `name` here") and not SINGLE_BACKTICK.search("a ``name`` here")
    assert TWO_SPACES.search("One.  Two") and not TWO_SPACES.search("One. Two")
    bad = "import logging\n_log = logging.getLogger('x')\nA = 1\n'note'\nf(*(1, 2), 3)\n"
    assert len(structure(ast.parse(bad))) == 3
