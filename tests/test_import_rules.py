# SPDX-License-Identifier: GPL-3.0-or-later
"""Which folder may import which packages, and that imports between our folders only go down."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("draggan_blender", "engine", "stylegan2")
STDLIB = set(sys.stdlib_module_names) | {"__future__"}
TORCH = {"torch", "numpy", "PIL", "safetensors", "ninja"}
BLENDER = {
    "bpy",
    "bpy_extras",
    "addon_utils",
    "bmesh",
    "mathutils",
    "gpu",
    "gpu_extras",
    "blf",
    "numpy",
}
ALGORITHMS = STDLIB | TORCH | {"stylegan2"}

# Folder or file -> what may be imported there besides its own package; the first match counts.
EXTERNAL: list[tuple[str, set[str]]] = [
    ("draggan_blender/protocol/layering.py", STDLIB | {"numpy"}),
    ("draggan_blender/protocol/mask_levels.py", STDLIB | {"numpy"}),
    ("draggan_blender/protocol/mask_room.py", STDLIB | {"numpy"}),
    ("draggan_blender/protocol/plain_arrays.py", STDLIB | {"numpy"}),
    ("draggan_blender/protocol/directions.py", STDLIB | {"numpy"}),
    ("draggan_blender/protocol/direction_files.py", STDLIB | {"numpy"}),
    ("draggan_blender/protocol", STDLIB),
    ("draggan_blender/installing", STDLIB),
    ("draggan_blender/library", STDLIB),
    ("draggan_blender/connection/pump.py", STDLIB | BLENDER),  # the timer
    ("draggan_blender/connection", STDLIB),
    ("draggan_blender/scene/view.py", STDLIB | {"numpy"}),
    ("draggan_blender/scene/overlay_data.py", STDLIB | {"numpy"}),
    ("draggan_blender/scene/mask_shapes.py", STDLIB | {"numpy"}),
    ("draggan_blender/scene/part_tree.py", STDLIB | {"numpy"}),
    ("draggan_blender/scene/overlay_shapes.py", STDLIB | {"numpy"}),
    ("draggan_blender/timeline/interpolation.py", STDLIB | {"numpy"}),
    ("draggan_blender/timeline/memory.py", STDLIB | {"numpy"}),
    ("draggan_blender/ui/tool.py", STDLIB | BLENDER | {"bl_ui"}),  # choosing another tool
    ("draggan_blender", STDLIB | BLENDER),
    ("engine/serving/server.py", STDLIB | {"draggan_blender"}),
    ("engine/serving/job_queue.py", STDLIB | {"draggan_blender"}),
    ("engine/serving/outbox.py", STDLIB | {"draggan_blender"}),
    ("engine/serving/parent.py", STDLIB),
    ("engine/serving/pulse.py", STDLIB | {"draggan_blender"}),
    ("engine", ALGORITHMS | {"draggan_blender"}),
    ("stylegan2", STDLIB | TORCH),
    ("__init__.py", STDLIB),
    ("dev.py", STDLIB),
]

# Modules of the protocol that the whole engine may import: facts that both processes must agree
# on. Messages and the codec belong to ``engine/serving`` alone.
SHARED_FACTS = {
    "draggan_blender.protocol.atomic_files",
    "draggan_blender.protocol.cache_folder",
    "draggan_blender.protocol.direction_files",
    "draggan_blender.protocol.directions",
    "draggan_blender.protocol.farm_lines",
    "draggan_blender.protocol.file_names",
    "draggan_blender.protocol.layering",
    "draggan_blender.protocol.losses",
    "draggan_blender.protocol.mask_levels",
    "draggan_blender.protocol.pictures",
    "draggan_blender.protocol.plain_arrays",
    "draggan_blender.protocol.plain_files",
    "draggan_blender.protocol.settings",
}

# Each package's folders and top-level modules from the top down. An import inside a package goes
# to the same folder or to a later line; folders that share a line do not import each other.
FLOORS: dict[str, list[set[str]]] = {
    "draggan_blender": [
        {"registration"},
        {"cli", "ui"},
        {"timeline", "export"},
        {"jobs"},
        {"preferences"},
        {"connection", "scene", "installing", "library"},
        {"properties"},
        {"compat"},
        {"protocol", "errors", "package"},
    ],
    "engine": [
        {"__main__"},
        {"cli"},
        {"serving"},
        {"baking", "inversion"},
        {"output"},
        {"solving"},
        {"models"},
        {"features", "pictures", "differences"},
        {"inputs", "image_files", "latent_files"},
        {"machine"},
        {"arrays", "errors", "library_names", "pooling"},
    ],
    "stylegan2": [
        {"windows", "checkpoints"},
        {"network"},
        {"ops", "errors", "models"},
    ],
}

# ``__init__`` of these packages may import anything of their own package: the public names of a
# library, and the entry points that Blender calls.
ENTRY_POINTS = {"draggan_blender/__init__.py", "stylegan2/__init__.py"}

SOURCES = sorted(
    path
    for top in (*PACKAGES, "__init__.py", "dev.py")
    for path in ([ROOT / top] if top.endswith(".py") else (ROOT / top).rglob("*.py"))
)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def allowed_in(name: str) -> set[str]:
    for start, allowed in EXTERNAL:
        if name == start or name.startswith(f"{start}/"):
            return allowed
    raise AssertionError(f"no rule for {name}")


@functools.cache
def imports_of(path: Path) -> list[tuple[int, str]]:
    """Return each import of a file as (line, absolute module or module and name).

    Imports inside functions count like all others: importing late does not avoid a rule.
    """
    package = list(path.relative_to(ROOT).parts[:-1])
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                above = node.level - 1
                where = f"{relative(path)}:{node.lineno}"
                assert above <= len(package) - (package != []), f"{where} leaves its package"
                base = package[: len(package) - above] + base
            found += [(node.lineno, ".".join([*base, alias.name])) for alias in node.names]
    return found


def floor_of(module: str) -> tuple[int, str]:
    """Return the floor and the folder of a module of ours, ``engine.solving.drag``."""
    package, _, rest = module.partition(".")
    folder = rest.partition(".")[0]
    for number, names in enumerate(FLOORS[package]):
        if folder in names:
            return number, folder
    raise AssertionError(f"{module}: its folder has no floor")


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_folder_imports_only_the_packages_that_it_may(path: Path) -> None:
    name = relative(path)
    own = name.partition("/")[0] if "/" in name else "draggan_blender"
    for line, module in imports_of(path):
        top = module.partition(".")[0]
        assert top == own or top in allowed_in(name), f"{name}:{line} imports {module}"
        if name.startswith("draggan_blender/protocol/") and top == own:
            assert module.startswith("draggan_blender.protocol"), f"{name}:{line} imports {module}"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_imports_only_folders_below_it(package: str) -> None:
    wrong = []
    for path in SOURCES:
        name = relative(path)
        if not name.startswith(f"{package}/") or name in ENTRY_POINTS:
            continue
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if module == package:
            continue
        floor, folder = floor_of(module)
        for line, imported in imports_of(path):
            if not imported.startswith(f"{package}.") or imported.count(".") < 1:
                continue
            other_floor, other = floor_of(imported)
            if other != folder and other_floor <= floor:
                wrong.append(f"{name}:{line} imports {imported}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_has_a_floor_and_every_floor_exists(package: str) -> None:
    found = {
        path.stem
        for path in (ROOT / package).iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__"}
    assert found == set().union(*FLOORS[package])


def test_the_engine_knows_messages_only_where_it_serves() -> None:
    for path in (ROOT / "engine").rglob("*.py"):
        for line, module in imports_of(path):
            if module.partition(".")[0] != "draggan_blender":
                continue
            where = f"{relative(path)}:{line} imports {module}"
            assert module.startswith("draggan_blender.protocol."), where
            if not relative(path).startswith("engine/serving/"):
                assert module.rpartition(".")[0] in SHARED_FACTS, where


def test_only_the_installer_can_download() -> None:
    using = {
        relative(path)
        for path in SOURCES
        for _, module in imports_of(path)
        if module.startswith(("urllib.request", "http.", "ftplib", "ssl"))
    }
    assert using
    assert all(path.startswith("draggan_blender/installing/") for path in using), using


def test_sockets_are_used_in_one_place_of_each_side() -> None:
    using = {
        relative(path)
        for path in SOURCES
        for _, module in imports_of(path)
        if module.partition(".")[0] in ("socket", "selectors")
    }
    assert using <= {
        "draggan_blender/connection/client.py",
        "engine/serving/server.py",
    }


@pytest.mark.parametrize("module", ["draggan_blender.protocol", "engine.serving.server"])
def test_light_modules_import_nothing_heavy(module: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {module}; "
        "print(*sorted({'bpy', 'numpy', 'torch', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
