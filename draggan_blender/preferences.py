# SPDX-License-Identifier: GPL-3.0-or-later
"""The preferences of the extension, and what the engine's start takes from them.

The extension's own folder is replaced by every update, so nothing is ever written there: logs
and a later installed engine lie in the extension's user folder, which Blender keeps.
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
from .package import ROOT_PACKAGE

#: Where a script or a farm says which Python has torch.
PYTHON_VARIABLE = "DRAGGAN_ENGINE_PYTHON"


class DRAGGAN_preferences(bpy.types.AddonPreferences):
    """What holds for every file."""

    bl_idname = ROOT_PACKAGE

    engine_python: StringProperty(
        name="Engine Python",
        description="A Python 3.11 or later that has PyTorch; the engine runs in it, apart from "
        f"Blender. Empty: the environment variable {PYTHON_VARIABLE}",
        subtype="FILE_PATH",
    )
    device: EnumProperty(
        name="Device",
        description="What the engine computes on; takes effect at its next start",
        items=(
            ("auto", "Automatic", "A graphics card where PyTorch can use one, else the processor"),
            ("cpu", "CPU", "The processor: works everywhere"),
            ("cuda", "CUDA", "A graphics card of NVIDIA, or of AMD with PyTorch for ROCm"),
            ("mps", "Metal", "The graphics of an Apple computer"),
        ),
        default="auto",
    )
    cache_folder: StringProperty(
        name="Cache Folder",
        description="Where results go as long as a file was never saved; empty for the folder "
        "that the system has for caches",
        subtype="DIR_PATH",
    )

    def draw(self, _context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "engine_python")
        layout.prop(self, "device")
        layout.prop(self, "cache_folder")


def get() -> DRAGGAN_preferences | None:
    """The preferences; None while the extension is not enabled in them (``-P`` scripts)."""
    addon = bpy.context.preferences.addons.get(ROOT_PACKAGE)
    return addon.preferences if addon is not None else None


def engine_settings(python: Path | None = None) -> EngineSettings:
    """What the engine is started with.

    Args:
        python: the Python that has PyTorch, in place of the one that is set.

    Raises:
        LaunchError: no Python is known that could run it.
    """
    stored = get()
    return EngineSettings(
        python=python or _engine_python(stored),
        root=Path(__file__).resolve().parents[1],
        device=stored.device if stored is not None else "auto",
        log_folder=_user_folder() / "logs",
    )


def cache_folder() -> Path:
    """Where results go that belong to no saved file."""
    stored = get()
    chosen = stored.cache_folder if stored is not None else ""
    return Path(bpy.path.abspath(chosen)) if chosen else compat.cache_folder()


def _user_folder() -> Path:
    return Path(bpy.utils.extension_path_user(ROOT_PACKAGE, create=True))


def _engine_python(stored: DRAGGAN_preferences | None) -> Path:
    chosen = stored.engine_python if stored is not None else ""
    if chosen:
        return Path(bpy.path.abspath(chosen))
    told = os.environ.get(PYTHON_VARIABLE, "")
    if told:
        return Path(told)
    inner = Path("Scripts", "python.exe") if sys.platform == "win32" else Path("bin", "python")
    installed = _user_folder() / "engine" / inner
    if installed.is_file():
        return installed
    raise LaunchError(
        "No Python with PyTorch is known to run the engine; choose one as Engine Python in the "
        f"extension's preferences, or name it in the environment variable {PYTHON_VARIABLE}."
    )
