# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators that install, repair, remove and check the engine."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ... import preferences
from ...installing.state import DONE, FAILED
from ...jobs import installation
from .common import Result, require, run


def _poll_idle(cls: type) -> bool:
    text = "An installer is running; wait, or press Cancel"
    return require(cls, not installation.is_running(), text)


def _poll_installed(cls: type) -> bool:
    return _poll_idle(cls) and require(
        cls, installation.condition() != "absent", "No engine is installed"
    )


def _start(operator: bpy.types.Operator, mode: str, bundle: str = "") -> Result:
    """Start an installer; ``blender -b`` runs no timers, so there wait for its end."""

    def action() -> None:
        python = preferences.own_python() if mode == "check" else None
        installation.start(mode, bundle=bundle, python=str(python or ""))

    result = run(operator, action)
    if result == {"FINISHED"} and bpy.app.background:
        ended = installation.wait()
        if ended.phase == FAILED:
            operator.report({"ERROR"}, ended.text)
        return {"FINISHED"} if ended.phase == DONE else {"CANCELLED"}
    return result


class DRAGGAN_OT_install_engine(bpy.types.Operator):
    """Download and install the engine, in the background. Continues an earlier installation"""

    bl_idname = "draggan.install_engine"
    bl_label = "Install Engine"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return _poll_idle(cls)

    def execute(self, _context: bpy.types.Context) -> Result:
        return _start(self, "install")


class DRAGGAN_OT_repair_engine(bpy.types.Operator):
    """Install the engine again from what was downloaded; only what is missing is downloaded"""

    bl_idname = "draggan.repair_engine"
    bl_label = "Repair"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return _poll_installed(cls)

    def execute(self, _context: bpy.types.Context) -> Result:
        return _start(self, "install")


class DRAGGAN_OT_cancel_install(bpy.types.Operator):
    """Stop the installer; what was downloaded is kept for the next time"""

    bl_idname = "draggan.cancel_install"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return require(cls, installation.is_running(), "No installer is running")

    def execute(self, _context: bpy.types.Context) -> Result:
        installation.cancel()
        return {"FINISHED"}


class DRAGGAN_OT_remove_engine(bpy.types.Operator):
    """Remove the installed engine and everything that was downloaded for it"""

    bl_idname = "draggan.remove_engine"
    bl_label = "Remove"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        exists = installation.places().engine.is_dir()
        return _poll_idle(cls) and require(cls, exists, "Nothing is installed")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        result: Result = context.window_manager.invoke_confirm(self, event)
        return result

    def execute(self, _context: bpy.types.Context) -> Result:
        return _start(self, "remove")


class _BundleOperator:
    """What both operators for bundles have: a folder, chosen in the file browser."""

    mode = ""

    directory: StringProperty(
        name="Folder",
        description="The folder of the bundle",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        operator: Any = self
        context.window_manager.fileselect_add(operator)
        return {"RUNNING_MODAL"}

    def execute(self, _context: bpy.types.Context) -> Result:
        operator: Any = self
        return _start(operator, self.mode, self.directory)


class DRAGGAN_OT_save_bundle(_BundleOperator, bpy.types.Operator):
    """Write all that an installation needs into a folder, for a computer without internet"""

    bl_idname = "draggan.save_bundle"
    bl_label = "Save Bundle"
    bl_options = {"REGISTER"}
    mode = "save_bundle"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return _poll_installed(cls)


class DRAGGAN_OT_install_bundle(_BundleOperator, bpy.types.Operator):
    """Install the engine from a folder that Save Bundle has written, without internet"""

    bl_idname = "draggan.install_bundle"
    bl_label = "Install from Bundle"
    bl_options = {"REGISTER"}
    mode = "install"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return _poll_idle(cls)


class DRAGGAN_OT_check_python(bpy.types.Operator):
    """Check whether the Python that you have chosen can run the engine, and say what it lacks"""

    bl_idname = "draggan.check_python"
    bl_label = "Check My Python"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        text = "Choose a Python as Engine Python first"
        return _poll_idle(cls) and require(cls, preferences.own_python() is not None, text)

    def execute(self, _context: bpy.types.Context) -> Result:
        return _start(self, "check")


class DRAGGAN_OT_use_cpu(bpy.types.Operator):
    """Compute on the CPU, because the GPU has failed its test"""

    bl_idname = "draggan.use_cpu"
    bl_label = "Use the CPU"
    bl_options = {"REGISTER"}

    def execute(self, _context: bpy.types.Context) -> Result:
        stored = preferences.get()
        if stored is None:
            self.report({"ERROR"}, "The extension has no preferences here")
            return {"CANCELLED"}
        stored.device = "cpu"
        return {"FINISHED"}


class DRAGGAN_OT_show_install_log(bpy.types.Operator):
    """Open the log of the last installation in a text editor"""

    bl_idname = "draggan.show_install_log"
    bl_label = "Show Log"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        exists = installation.log_path() is not None
        return require(cls, exists, "Nothing was installed yet, so there is no log")

    def execute(self, _context: bpy.types.Context) -> Result:
        bpy.ops.wm.path_open(filepath=str(installation.log_path()))
        return {"FINISHED"}


class DRAGGAN_OT_copy_report(bpy.types.Operator):
    """Copy versions, system and the last lines of the log, without personal paths"""

    bl_idname = "draggan.copy_report"
    bl_label = "Copy Report"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Result:
        context.window_manager.clipboard = installation.report()
        self.report({"INFO"}, "Copied the report")
        return {"FINISHED"}


CLASSES = (
    DRAGGAN_OT_install_engine,
    DRAGGAN_OT_repair_engine,
    DRAGGAN_OT_cancel_install,
    DRAGGAN_OT_remove_engine,
    DRAGGAN_OT_save_bundle,
    DRAGGAN_OT_install_bundle,
    DRAGGAN_OT_check_python,
    DRAGGAN_OT_use_cpu,
    DRAGGAN_OT_show_install_log,
    DRAGGAN_OT_copy_report,
)
