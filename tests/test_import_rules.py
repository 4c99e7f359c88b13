# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part of the project may import which: the table of the design, held by the source text."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"draggan_blender", "engine", "stylegan2"}
STDLIB = set(sys.stdlib_module_names) | {"__future__"}
TORCH = {"torch", "numpy", "PIL", "safetensors"}
BLENDER = {"bpy", "bpy_extras", "addon_utils", "mathutils", "gpu", "blf", "numpy"}
ALGORITHMS = STDLIB | TORCH | {"engine", "stylegan2"}

#: Folder or file -> what may be imported there beside itself; the first match counts.
RULES: list[tuple[str, set[str]]] = [
    ("draggan_blender/protocol", STDLIB),
    ("draggan_blender/session.py", STDLIB),
    ("draggan_blender/client.py", STDLIB),
    ("draggan_blender/launcher.py", STDLIB),
    ("draggan_blender/runtime.py", STDLIB),
    ("draggan_blender/session_events.py", STDLIB),
    ("draggan_blender/view.py", STDLIB | {"numpy"}),
    ("draggan_blender/interpolation.py", STDLIB | {"numpy"}),
    ("draggan_blender", STDLIB | BLENDER),
    ("engine/server.py", STDLIB | {"draggan_blender", "engine"}),
    ("engine/job_queue.py", STDLIB | {"draggan_blender", "engine"}),
    ("engine/outbox.py", STDLIB | {"draggan_blender", "engine"}),
    ("engine/jobs.py", ALGORITHMS | {"draggan_blender"}),
    ("engine/job_parts.py", ALGORITHMS | {"draggan_blender"}),
    ("engine/previews.py", ALGORITHMS | {"draggan_blender"}),
    ("engine/drag_job.py", ALGORITHMS | {"draggan_blender"}),
    ("engine/bake_job.py", ALGORITHMS | {"draggan_blender"}),
    ("engine/edit_file.py", ALGORITHMS | {"draggan_blender"}),
    ("engine/worker.py", ALGORITHMS | {"draggan_blender"}),
    ("engine", ALGORITHMS),
    ("stylegan2/ops/fused/build.py", STDLIB | {"torch", "ninja"}),
    ("stylegan2", STDLIB | TORCH | {"stylegan2"}),
    ("__init__.py", STDLIB),
    ("dev.py", STDLIB),
]
SOURCES = sorted(
    path
    for top in (*OURS, "__init__.py", "dev.py")
    for path in ([ROOT / top] if top.endswith(".py") else (ROOT / top).rglob("*.py"))
)


def allowed_in(relative: str) -> set[str]:
    for start, allowed in RULES:
        if relative == start or relative.startswith(f"{start}/"):
            return allowed
    raise AssertionError(f"no rule for {relative}")


def imports_of(path: Path) -> list[tuple[int, int, str]]:
    """Each import of a file as (line, dots of a relative import, module)."""
    found: list[tuple[int, int, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, 0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, node.level, node.module or ""))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_stay_inside_the_table(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    allowed = allowed_in(relative)
    depth = len(path.relative_to(ROOT).parts) - 1
    for line, dots, module in imports_of(path):
        where = f"{relative}:{line} imports {'.' * dots}{module}"
        if dots:
            assert dots <= depth or relative == "__init__.py", f"{where}: leaves its package"
            if relative.startswith("draggan_blender/protocol/"):
                assert dots == 1, f"{where}: the protocol imports only itself"
        else:
            assert module.split(".")[0] in allowed, where


def test_only_the_protocol_of_the_blender_side_reaches_the_engine() -> None:
    for path in (ROOT / "engine").rglob("*.py"):
        for line, dots, module in imports_of(path):
            if not dots and module.split(".")[0] == "draggan_blender":
                assert module.startswith("draggan_blender.protocol"), f"{path.name}:{line} {module}"


@pytest.mark.parametrize("name", ["socket", "draggan_blender"])
def test_the_worker_has_no_socket_and_the_algorithms_no_protocol(name: str) -> None:
    allowed = {
        "socket": {"server.py"},
        "draggan_blender": {
            *("server.py", "worker.py", "job_queue.py", "outbox.py"),
            *("jobs.py", "job_parts.py", "previews.py", "drag_job.py", "bake_job.py"),
            "edit_file.py",
        },
    }[name]
    for path in (ROOT / "engine").rglob("*.py"):
        names = {module.split(".")[0] for _, dots, module in imports_of(path) if not dots}
        assert name not in names or path.name in allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("module", ["draggan_blender.protocol", "engine.server"])
def test_light_modules_bring_nothing_heavy(module: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {module}; "
        "print(*sorted({'bpy', 'numpy', 'torch', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
