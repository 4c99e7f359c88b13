# SPDX-License-Identifier: GPL-3.0-or-later
"""The preferences of the extension, and the engine settings that follow from them.

An update replaces the extension's own folder, so nothing is written there: logs, and an engine that
is installed later, are in the extension's user folder, which Blender keeps.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from . import compat
from .connection.launcher import LaunchError, as_meant
from .connection.pump import EngineSettings
from .installing.machine import this_platform
from .installing.places import Places
from .installing.record import installed_python
from .installing.variants import LABELS
from .package import ROOT, ROOT_PACKAGE
from .scene.frame_files import absolute

# The environment variable with which a script or a farm chooses the Python that has PyTorch.
PYTHON_VARIABLE = "DRAGGAN_ENGINE_PYTHON"


# Draws the engine's installation; set by the user interface, which is above this module.
draw_installation: Callable[[bpy.types.UILayout, bpy.types.Context], None] | None = None


class DRAGGAN_preferences(bpy.types.AddonPreferences):
    """The settings that apply to every file."""

    bl_idname = ROOT_PACKAGE

    engine_python: StringProperty(
        name="Engine Python",
        description="A Python 3.11 or later of your own that has PyTorch, used instead of the "
        f"installed engine. If empty, the environment variable {PYTHON_VARIABLE} is used, if it "
        "is set",
        subtype="FILE_PATH",
        options={"ANIMATABLE"} | compat.RELATIVE_PATH,
    )
    variant: EnumProperty(
        name="Variant",
        description="The variant of PyTorch that is installed with the engine",
        items=(
            ("auto", "Automatic", "The variant that suits this computer"),
            *((name, label, f"PyTorch for {label}") for name, label in LABELS.items()),
        ),
        default="auto",
    )
    package_index: StringProperty(
        name="Package Index",
        description="The address of a package index, or a folder of wheels, that is used instead "
        "of the usual index; empty for that of the environment, or the usual one",
    )
    proxy: StringProperty(
        name="Proxy",
        description="The proxy for downloads, such as http://name:password@host:port; empty for "
        "that of the environment",
        subtype="PASSWORD",
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
    plain_pulls: BoolProperty(
        name="Plain Views While Pulling",
        description="Switch Blender's Viewport Anti-Aliasing off while the Pull tool moves "
        "something, where views are drawn without a GPU, so that the image follows in half the "
        "time",
        default=True,
    )
    cache_folder: StringProperty(
        name="Cache Folder",
        description="Where results are written until the file is saved; empty for the system's "
        "cache folder",
        subtype="DIR_PATH",
        options={"ANIMATABLE"} | compat.RELATIVE_PATH,
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        if draw_installation is not None:
            draw_installation(layout, context)
        layout.prop(self, "engine_python")
        layout.prop(self, "device")
        layout.prop(self, "cache_folder")
        layout.prop(self, "plain_pulls")


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
        python=python or _engine_python(),
        root=ROOT,
        device=stored.device if stored is not None else "auto",
        log_folder=user_folder() / "logs",
    )


def cache_folder() -> Path:
    """Return the folder for the results of a file that has not been saved yet."""
    stored = get()
    chosen = stored.cache_folder if stored is not None else ""
    return absolute(chosen or compat.cache_folder())


def user_folder() -> Path:
    """Return the folder for the extension's own files: logs and the engine; updates keep it."""
    return Path(bpy.utils.extension_path_user(ROOT_PACKAGE, create=True))


def models_folder() -> Path:
    """Return the folder of the person's models, which may not exist yet."""
    return absolute(user_folder() / "models")


def own_python() -> Path | None:
    """Return the Python that was chosen instead of the installed engine; None if none was."""
    stored = get()
    chosen = stored.engine_python if stored is not None else ""
    if chosen:
        return as_meant(bpy.path.abspath(chosen.strip().strip("\"'")))
    from_environment = os.environ.get(PYTHON_VARIABLE, "")
    return as_meant(from_environment) if from_environment else None


def _engine_python() -> Path:
    own = own_python()
    if own is not None:
        return own
    installed = installed_python(Places(user_folder()), this_platform())
    if installed is not None:
        return installed
    raise LaunchError(
        "No engine is installed; press Install Engine in the DragGAN tab, or run blender -b "
        "--online-mode -c draggan install, or set Engine Python in the extension's preferences, or "
        f"the variable {PYTHON_VARIABLE}, to a Python with PyTorch."
    )
