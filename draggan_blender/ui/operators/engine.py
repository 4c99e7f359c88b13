# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting and stopping the engine, and what to do when it has failed."""

from __future__ import annotations

import bpy

from ...connection import pump, session
from ...connection.session import EnginePhase
from .common import Result

_ON = (EnginePhase.STARTING, EnginePhase.LOADING, EnginePhase.READY)
#: A little more than the session itself allows for hello and loading.
_START_TIMEOUT_S = session.HELLO_TIMEOUT_S + session.READY_TIMEOUT_S + 5.0


class DRAGGAN_OT_engine_start(bpy.types.Operator):
    """Start the engine: a process of its own, in which the model runs"""

    bl_idname = "draggan.engine_start"
    bl_label = "Start Engine"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Whether it is off."""
        if pump.state().engine in _ON:
            cls.poll_message_set("The engine is running")
            return False
        return True

    def execute(self, _context: bpy.types.Context) -> Result:
        """Start it; under ``blender -b`` until it is ready."""
        pump.start()
        if bpy.app.background:
            pump.run_until(
                lambda now: now.engine is EnginePhase.READY or pump.is_off(now), _START_TIMEOUT_S
            )
        state = pump.state()
        if state.engine is EnginePhase.FAILED:
            self.report({"ERROR"}, state.error)
            return {"CANCELLED"}
        return {"FINISHED"}


class DRAGGAN_OT_engine_stop(bpy.types.Operator):
    """Stop the engine; a drag that runs is given up"""

    bl_idname = "draggan.engine_stop"
    bl_label = "Stop Engine"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Whether it is on."""
        if pump.state().engine not in _ON:
            cls.poll_message_set("The engine is off")
            return False
        return True

    def execute(self, _context: bpy.types.Context) -> Result:
        """Stop it; under ``blender -b`` until it is gone."""
        pump.stop()
        if bpy.app.background:
            pump.run_until(pump.is_off, 10.0)
        return {"FINISHED"}


class DRAGGAN_OT_copy_error(bpy.types.Operator):
    """Copy the message and the path of the engine's log, to send them to somebody"""

    bl_idname = "draggan.copy_error"
    bl_label = "Copy Details"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Result:
        """Put them into the clipboard."""
        version = ".".join(str(part) for part in bpy.app.version)
        lines = [pump.state().error, f"Blender {version}", f"Engine log: {pump.log_path()}"]
        context.window_manager.clipboard = "\n".join(lines)
        self.report({"INFO"}, "Copied")
        return {"FINISHED"}


class DRAGGAN_OT_open_log(bpy.types.Operator):
    """Open the engine's log in a text editor"""

    bl_idname = "draggan.open_log"
    bl_label = "Open Log"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Whether there is one."""
        path = pump.log_path()
        if path is None or not path.is_file():
            cls.poll_message_set("The engine has not been started yet")
            return False
        return True

    def execute(self, _context: bpy.types.Context) -> Result:
        """Let the system open it."""
        bpy.ops.wm.path_open(filepath=str(pump.log_path()))
        return {"FINISHED"}


CLASSES = (
    DRAGGAN_OT_engine_start,
    DRAGGAN_OT_engine_stop,
    DRAGGAN_OT_copy_error,
    DRAGGAN_OT_open_log,
)
