# SPDX-License-Identifier: GPL-3.0-or-later
"""Does what ``docs/your-models.md`` describes, with mouse and keys, and takes its picture.

Each station is checked: an error ends the script. It drops files onto the view with the operator
that Blender calls for a drop, clicks on tiles, and looks at what they did::

    python tools/window.py tools/models_pictures.py --blender blender --zip ZIP \
        --engine-python .venv/bin/python --out docs/models

The models are those of the benchmarks and of the tests, which have random weights.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SIZE = (1280, 900)

_ROOT = Path(__file__).resolve().parents[1]
_DROPPED = (
    _ROOT / "tools" / "bench" / "models" / "twin.safetensors",
    _ROOT / "tests" / "data" / "golden" / "ada_r64.pkl",
)
_TIMEOUT_S = 120.0
_STEP_S = 0.2


def steps(window: Any) -> Iterator[float]:
    """Drop models, click on their tiles, and take the picture; ``tools/window.py`` runs this.

    Args:
        window: The ``Window``.

    Yields:
        Seconds for Blender's main loop.

    Raises:
        RuntimeError: Something was not as the page says.
    """
    import bpy

    area, library = window.area("VIEW_3D"), window.module("jobs.library")
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    window.open_panels(models=True, seeds=False, engine=False)
    yield from window.show_tab(area)
    folder = Path(tempfile.mkdtemp(), "Downloads")
    folder.mkdir()
    (folder / "faces.pkl").write_bytes(b"<html>Please log in</html>")
    for path in _DROPPED:
        shutil.copy(path, folder)
    operators: Any = bpy.ops
    for path in (*(folder / path.name for path in _DROPPED), folder / "faces.pkl"):
        before = len(library.own()) + len(library.problems())
        with window.within(area):
            operators.wm.drop_import_file(
                "INVOKE_DEFAULT", directory=str(path.parent), files=[{"name": path.name}]
            )
        yield from _until(lambda: len(library.own()) + len(library.problems()) > before)  # noqa: B023
        yield from _until(lambda: not library.adding())
    names = [entry.name for entry in library.everything()]
    print(f"models: {names}; {library.problems()}", flush=True)
    if names != ["Suzanne", "ada_r64", "twin"] or not library.problems():
        raise RuntimeError("two models, and one sentence about faces.pkl, were expected")
    library.cancel()
    with window.within(area):
        operators.draggan.pick_model(chosen="twin")
        operators.draggan.describe_model(
            chosen="twin", name="Twin", note="GPL-3.0-or-later, made for the benchmarks"
        )
        operators.draggan.new_image()
        plane = bpy.context.object
    yield from _until(lambda: not plane.draggan.request_id)
    if Path(plane.draggan.source.path).stem.partition("-")[0] != "twin":
        raise RuntimeError("the image was not made with the chosen model")
    yield from window.take(window.options.out / "panel.png", _sidebar(window, area))
    print(f"models: the image has {tuple(plane.draggan.size)} px", flush=True)


def _sidebar(window: Any, area: Any) -> tuple[int, int, int, int]:
    box: tuple[int, int, int, int] = window.box(window.region(area, "UI"))
    return box


def _until(condition: Callable[[], bool]) -> Iterator[float]:
    """Let Blender's main loop run until a condition holds."""
    waited_s = 0.0
    while not condition():
        if waited_s > _TIMEOUT_S:
            raise RuntimeError("it took too long")
        waited_s += _STEP_S
        yield _STEP_S
