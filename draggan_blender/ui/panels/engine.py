# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Engine* panel: layout only."""

from __future__ import annotations

import bpy

from ... import preferences
from ...connection import pump
from ...connection.state import EnginePhase, State, describe
from ...package import ROOT_PACKAGE
from .common import SidebarPanel
from .installation import draw_in_panel
from .text import Icon, draw_text


class DRAGGAN_PT_engine(SidebarPanel, bpy.types.Panel):
    """The state of the engine, its last error, and starting or stopping it."""

    bl_idname = "DRAGGAN_PT_engine"
    bl_label = "Engine"

    def draw(self, _context: bpy.types.Context) -> None:
        layout, state = self.layout, pump.state()
        if not draw_in_panel(layout):
            return
        icon: Icon = "CHECKMARK" if state.engine is EnginePhase.READY else "INFO"
        # One line, whatever it says: what is below must not move under the mouse.
        row = layout.row(align=True)
        row.label(text=_engine_sentence(state), icon=icon)
        if state.engine in (EnginePhase.OFF, EnginePhase.FAILED):
            row.operator("draggan.engine_start", text="Start", icon="PLAY")
        elif state.engine is not EnginePhase.STOPPING:
            row.operator("draggan.engine_stop", text="", icon="CANCEL")
        if state.error:
            _draw_error(layout, state.error)


class DRAGGAN_PT_engine_device(SidebarPanel, bpy.types.Panel):
    """What the engine computes on."""

    bl_idname = "DRAGGAN_PT_engine_device"
    bl_label = "Device"
    bl_parent_id = "DRAGGAN_PT_engine"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return preferences.get() is not None

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.enabled = pump.state().engine in (EnginePhase.OFF, EnginePhase.FAILED)
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(preferences.get(), "device")


def _engine_sentence(state: State) -> str:
    """Return what the engine is doing; while it is ready, its jobs are shown in other panels."""
    if state.ready is not None and state.engine is EnginePhase.READY:
        return f"Ready on {state.ready.device_name}"
    if state.engine is EnginePhase.FAILED:
        return "Failed"  # the error is below
    return describe(state)


def _draw_error(layout: bpy.types.UILayout, error: str) -> None:
    box = layout.box().column(align=True)
    draw_text(box, error, "ERROR")
    row = box.row(align=True)
    row.operator("draggan.copy_error", icon="COPYDOWN")
    row.operator("draggan.open_log", icon="TEXT")
    box.operator(
        "preferences.addon_show", text="Preferences", icon="PREFERENCES"
    ).module = ROOT_PACKAGE


CLASSES = (DRAGGAN_PT_engine, DRAGGAN_PT_engine_device)
