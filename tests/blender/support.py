# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts that the tests inside Blender share: installing, an empty file, and both engines."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import bpy

EXTENSION = "bl_ext.user_default.draggan_blender"
CHECKOUT = Path(__file__).resolve().parents[2]

# For any request: the first start of the engine reads PyTorch from the disk.
TIMEOUT_S = 180.0

# The model of the tests with the real engine; ``run.py`` sets it.
model = "suzanne"
# The installed zip.
archive = Path()


def install(path: Path, model_name: str) -> None:
    """Install the zip as *Install from Disk* does, and enable the extension."""
    global model, archive
    import addon_utils

    model, archive = model_name, path
    addon_utils.enable("bl_pkg")
    bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=str(path), enable_on_install=True
    )
    if EXTENSION not in bpy.context.preferences.addons:
        raise RuntimeError(f"{path} was not installed")


def enable() -> None:
    """Enable the installed extension."""
    import addon_utils

    addon_utils.enable(EXTENSION, default_set=True)


def disable() -> None:
    """Disable the extension, which unregisters everything."""
    import addon_utils

    addon_utils.disable(EXTENSION, default_set=True)


def ours(name: str) -> Any:
    """Return a module of the installed extension: ``ours("jobs.image")``."""
    return importlib.import_module(f"{EXTENSION}.draggan_blender.{name}")


def _fake_root_maker() -> Any:
    path = CHECKOUT / "tests" / "fake_root.py"
    spec = importlib.util.spec_from_file_location("fake_root", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_fake_root


def uses_fake_engine(test: unittest.TestCase) -> bool:
    """Return whether a test or its ``setUp``, or a method that they call, names the fake engine."""
    used: set[str] = set()
    found = {"setUp", test.id().rpartition(".")[2]}
    while found:
        used |= found
        methods = [vars(kind).get(name) for kind in type(test).__mro__ for name in found]
        codes = [method.__code__ for method in methods if hasattr(method, "__code__")]
        found = {name for code in codes for name in code.co_names} - used
    return "use_fake_engine" in used


class SceneCase(unittest.TestCase):
    """A test with an empty file and a temporary folder.

    The engine stays for the next test, because its start takes long; so does a fake one without
    faults for a test that wants one with the same options. A test that ends it leaves it off.
    """

    folder: Path
    has_fake_engine = False  # whether the test has asked for it
    # The options of the fake engine that is running, also one that an earlier test has left.
    fake_options: ClassVar[tuple[str, ...] | None] = None

    def setUp(self) -> None:
        """Open an empty file and make the temporary folder."""
        if self.fake_options is not None and not uses_fake_engine(self):
            self.use_real_engine()
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        self.folder = Path(tempfile.mkdtemp(prefix="draggan-test-"))
        bpy.context.preferences.addons[EXTENSION].preferences.cache_folder = str(
            self.folder / "cache"
        )
        # A Blender with a window has a first undo step; make it here.
        bpy.ops.ed.undo_push(message="Original")

    def tearDown(self) -> None:
        """Cancel what still runs, wait until the engine is idle, and remove the folder."""
        pump = ours("connection.pump")
        state = pump.state()
        lasting = ("ready",) if self.has_fake_engine else ("ready", "loading", "starting")
        if state.engine.value not in lasting or "--fault" in (self.fake_options or ()):
            self.use_real_engine()
        else:
            for job in (state.active, *state.queue):
                if job is not None:
                    pump.cancel_job(job.image_id)
            self.run_until(lambda now: now.active is None and not now.queue)
        shutil.rmtree(self.folder)
        # Else ``uses_fake_engine`` was wrong, and the test may have used one of an earlier test.
        self.assertTrue(self.has_fake_engine or self.fake_options is None)

    def stop_engine(self) -> None:
        """End the engine, and wait until it is off."""
        pump = ours("connection.pump")
        pump.stop()
        self.run_until(pump.is_off, 15.0)

    def use_fake_engine(self, *options: str) -> None:
        """Use the fake engine from now on, until the end of this test."""
        self.has_fake_engine = True
        pump = ours("connection.pump")
        folder = Path(os.environ["BLENDER_USER_RESOURCES"]) / "fake engine"
        if SceneCase.fake_options != options or pump.state().engine.value != "ready":
            self.stop_engine()
            _fake_root_maker()(folder, *options)
            SceneCase.fake_options = options
        settings = pump.EngineSettings(
            python=Path(os.environ["DRAGGAN_ENGINE_PYTHON"]),
            root=folder,
            device="cpu",
            log_folder=folder / "logs",
        )
        pump.configure(lambda: settings)

    def use_real_engine(self) -> None:
        """End the engine that is running, and use the real one from now on."""
        SceneCase.fake_options = None
        self.stop_engine()
        ours("connection.pump").configure(lambda: ours("preferences").engine_settings())

    def new_plane(self, seed: int = 1) -> Any:
        """Make a GAN image and wait for its image."""
        plane = ours("jobs.image").new_image(bpy.context, model, seed, 0.7)
        ours("jobs.requests").wait(plane.draggan.request_id, TIMEOUT_S)
        return plane

    def add_pair(self, plane: Any) -> Any:
        """Add a pair whose target is 0.15 of the image's width to the right of its handle."""
        pair = ours("scene.points").add_pair(plane, (0.4, 0.5), (0.55, 0.5))
        bpy.context.view_layer.update()
        return pair

    def drag(self, plane: Any, max_steps: int = 12) -> None:
        """Drag a few steps, and wait for the result."""
        plane.draggan.drag.max_steps = max_steps
        ours("jobs.requests").wait(ours("jobs.drag").start_drag(bpy.context, plane), TIMEOUT_S)

    def start_endless_drag(self, plane: Any) -> int:
        """Start a drag that does not end itself, and wait for two steps; return the request id."""
        make_endless(plane)
        request_id: int = ours("jobs.drag").start_drag(bpy.context, plane)
        self.run_until(lambda now: now.step >= 2)
        return request_id

    def run_until(self, predicate: Callable[[Any], bool], timeout_s: float = TIMEOUT_S) -> None:
        """Run the pump until ``predicate(state)`` is True; fail if it is not in time."""
        pump = ours("connection.pump")
        self.assertTrue(pump.run_until(predicate, timeout_s), f"not true: {pump.state()!s:.2000}")

    def find_plane(self) -> Any:
        """Return the only plane of the file; undo and loading replace the object."""
        (plane,) = ours("scene.planes").everywhere()
        return plane


def make_endless(plane: Any) -> None:
    """Change a plane's pair and settings so that a drag does not end itself."""
    plane.draggan.pairs[0].target.location.x = 0.95
    bpy.context.view_layer.update()
    drag = plane.draggan.drag
    drag.max_steps = drag.patience = 100000
    drag.tolerance_px = 0.05
    # Least squares would end when it makes no more progress.
    drag.method = "draggan"


def is_module() -> bool:
    """Return whether this is the ``bpy`` module, which has no Blender program to start."""
    return bool(getattr(bpy.app, "module", False)) or not bpy.app.binary_path


def blender_command(script: Path, *arguments: str) -> list[str]:
    """Return the command that runs a script in another process of this Blender or module."""
    if is_module():
        return [sys.executable, str(script), *arguments]
    flags = ["-b", "--factory-startup", "--python-exit-code", "1"]
    return [bpy.app.binary_path, *flags, "-P", str(script), "--", *arguments]


def is_running(pid: int) -> bool:
    """Return whether a process is running; one that has ended and was not reaped is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc").is_dir()
