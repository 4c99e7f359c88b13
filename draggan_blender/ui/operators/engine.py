# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators that start and stop the engine, and those that help when it has failed."""

from __future__ import annotations

import bpy

from ...connection import pump, session
from ...connection.state import EnginePhase
from .common import Result, require

_ON = (EnginePhase.STARTING, EnginePhase.LOADING, EnginePhase.READY)

# A little more than the session itself allows for the hello and for loading.
_START_TIMEOUT_S = session.HELLO_TIMEOUT_S + session.READY_TIMEOUT_S + 5.0
_STOP_TIMEOUT_S = 10.0


class DRAGGAN_OT_engine_start(bpy.types.Operator):
    """Start the engine: a separate process that runs the model"""

    bl_idname = "draggan.engine_start"
    bl_label = "Start Engine"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return require(cls, pump.state().engine not in _ON, "The engine is already running")

    def execute(self, _context: bpy.types.Context) -> Result:
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
    """Stop the engine; a running drag or bake is cancelled"""

    bl_idname = "draggan.engine_stop"
    bl_label = "Stop Engine"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return require(cls, pump.state().engine in _ON, "The engine is off")

    def execute(self, _context: bpy.types.Context) -> Result:
        if pump.state().silent:
            # Another engine keeps the steps of its drag.
            pump.give_up()
            return {"FINISHED"}
        pump.stop()
        if bpy.app.background:
            pump.run_until(pump.is_off, _STOP_TIMEOUT_S)
        return {"FINISHED"}


class DRAGGAN_OT_copy_error(bpy.types.Operator):
    """Copy the error, the Blender version and the path of the engine log, for a bug report"""

    bl_idname = "draggan.copy_error"
    bl_label = "Copy Details"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Result:
        version = ".".join(str(part) for part in bpy.app.version)
        lines = [pump.state().error, f"Blender {version}", f"Engine log: {pump.log_path()}"]
        context.window_manager.clipboard = "\n".join(lines)
        self.report({"INFO"}, "Copied the details")
        return {"FINISHED"}


class DRAGGAN_OT_open_log(bpy.types.Operator):
    """Open the engine log in a text editor"""

    bl_idname = "draggan.open_log"
    bl_label = "Open Log"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        path = pump.log_path()
        exists = path is not None and path.is_file()
        return require(cls, exists, "There is no log yet; start the engine first")

    def execute(self, _context: bpy.types.Context) -> Result:
        bpy.ops.wm.path_open(filepath=str(pump.log_path()))
        return {"FINISHED"}


CLASSES = (
    DRAGGAN_OT_engine_start,
    DRAGGAN_OT_engine_stop,
    DRAGGAN_OT_copy_error,
    DRAGGAN_OT_open_log,
)
