# SPDX-License-Identifier: GPL-3.0-or-later
"""The preferences of the extension, and the engine settings that follow from them.

An update replaces the extension's own folder, so nothing is written there: logs, and an engine that
is installed later, are in the extension's user folder, which Blender keeps.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from . import compat
from .connection.launcher import LaunchError
from .connection.pump import EngineSettings
from .package import ROOT, ROOT_PACKAGE

# The environment variable with which a script or a farm chooses the Python that has PyTorch.
PYTHON_VARIABLE = "DRAGGAN_ENGINE_PYTHON"


class DRAGGAN_preferences(bpy.types.AddonPreferences):
    """The settings that apply to every file."""

    bl_idname = ROOT_PACKAGE

    engine_python: StringProperty(
        name="Engine Python",
        description="A Python 3.11 or later that has PyTorch; the engine runs in it as a separate "
        f"process. If empty, the environment variable {PYTHON_VARIABLE} is used",
        subtype="FILE_PATH",
    )
    device: EnumProperty(
        name="Device",
        description="The device that the engine computes on; a change takes effect when the engine "
        "starts",
        items=(
            ("auto", "Automatic", "The GPU if PyTorch can use it, otherwise the CPU"),
            ("cpu", "CPU", "The CPU, which works on every machine"),
            ("cuda", "CUDA", "An NVIDIA GPU, or an AMD GPU with PyTorch for ROCm"),
            ("mps", "Metal", "An Apple GPU"),
        ),
        default="auto",
    )
    cache_folder: StringProperty(
        name="Cache Folder",
        description="Where results are written until the file is saved; empty for the system's "
        "cache folder",
        subtype="DIR_PATH",
    )

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "engine_python")
        layout.prop(self, "device")
        layout.prop(self, "cache_folder")


def get() -> DRAGGAN_preferences | None:
    """Return the preferences, or None if a ``-P`` script registers the extension without them."""
    addon = bpy.context.preferences.addons.get(ROOT_PACKAGE)
    return addon.preferences if addon is not None else None


def engine_settings(python: Path | None = None) -> EngineSettings:
    """Return the settings that the engine is started with.

    Args:
        python: The Python that has PyTorch, instead of the one in the preferences.

    Raises:
        LaunchError: No Python is configured that could run the engine.
    """
    stored = get()
    return EngineSettings(
        python=python or _engine_python(stored),
        root=ROOT,
        device=stored.device if stored is not None else "auto",
        log_folder=_user_folder() / "logs",
    )


def cache_folder() -> Path:
    """Return the folder for the results of a file that has not been saved yet."""
    stored = get()
    chosen = stored.cache_folder if stored is not None else ""
    return Path(bpy.path.abspath(chosen)) if chosen else compat.cache_folder()


def _user_folder() -> Path:
    return Path(bpy.utils.extension_path_user(ROOT_PACKAGE, create=True))


def _engine_python(stored: DRAGGAN_preferences | None) -> Path:
    chosen = stored.engine_python if stored is not None else ""
    if chosen:
        return Path(bpy.path.abspath(chosen))
    from_environment = os.environ.get(PYTHON_VARIABLE, "")
    if from_environment:
        return Path(from_environment)
    inner = Path("Scripts", "python.exe") if sys.platform == "win32" else Path("bin", "python")
    installed = _user_folder() / "engine" / inner
    if installed.is_file():
        return installed
    raise LaunchError(
        "No Python with PyTorch is configured; choose one as Engine Python in the extension's "
        f"preferences, or set the environment variable {PYTHON_VARIABLE}."
    )
