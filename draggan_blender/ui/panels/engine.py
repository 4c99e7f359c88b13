# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Engine* panel: layout only."""

from __future__ import annotations

import bpy

from ... import preferences
from ...connection import pump, session
from ...connection.session import EnginePhase
from ...package import ROOT_PACKAGE
from .common import SidebarPanel
from .text import Icon, draw_text


class DRAGGAN_PT_engine(SidebarPanel, bpy.types.Panel):
    """The state of the engine, its last error, and starting or stopping it."""

    bl_idname = "DRAGGAN_PT_engine"
    bl_label = "Engine"

    def draw(self, _context: bpy.types.Context) -> None:
        layout, state = self.layout, pump.state()
        if state.error:
            _draw_error(layout, state.error)
        if state.engine is not EnginePhase.FAILED:
            icon: Icon = "CHECKMARK" if state.engine is EnginePhase.READY else "INFO"
            draw_text(layout, _engine_sentence(state), icon)
        if state.engine in (EnginePhase.OFF, EnginePhase.FAILED):
            stored = preferences.get()
            if stored is not None:
                row = layout.row()
                row.use_property_split = True
                row.use_property_decorate = False
                row.prop(stored, "device")
            layout.operator("draggan.engine_start", icon="PLAY")
        elif state.engine is not EnginePhase.STOPPING:
            layout.operator("draggan.engine_stop", icon="CANCEL")


def _engine_sentence(state: session.State) -> str:
    """Return what the engine is doing; while it is ready, its jobs are shown in other panels."""
    if state.ready is not None and state.engine is EnginePhase.READY:
        return f"Ready on {state.ready.device_name}"
    return session.describe(state)


def _draw_error(layout: bpy.types.UILayout, error: str) -> None:
    box = layout.box().column(align=True)
    draw_text(box, error, "ERROR")
    row = box.row(align=True)
    row.operator("draggan.copy_error", icon="COPYDOWN")
    row.operator("draggan.open_log", icon="TEXT")
    box.operator(
        "preferences.addon_show", text="Preferences", icon="PREFERENCES"
    ).module = ROOT_PACKAGE


CLASSES = (DRAGGAN_PT_engine,)
