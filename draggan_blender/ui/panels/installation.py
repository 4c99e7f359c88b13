# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's installation, in the *Engine* panel and in the preferences: layout only."""

from __future__ import annotations

import bpy

from ... import preferences
from ...connection import pump
from ...installing import state
from ...installing.sizes import size_in_words
from ...installing.variants import LABELS
from ...jobs import installation
from .text import draw_text

_TITLES = {
    "absent": "Install Engine",
    "broken": "Repair Engine",
    "outdated": "Update Engine",
}
_SENTENCES = {
    "broken": "Files of the engine are missing, or the Python that it was made with",
    "outdated": "This version of the extension has a newer engine",
}


def draw_in_panel(layout: bpy.types.UILayout) -> bool:
    """Draw the installation where the engine's state is shown.

    Returns:
        Whether there is an engine that can be started, so that its state can be drawn as well.
    """
    has_own = preferences.own_python() is not None
    condition = installation.condition()
    if installation.is_running():
        _draw_progress(layout)
        return has_own or condition in ("ready", "outdated")
    if not has_own and condition != "ready":
        # The button first: what has happened is below it, so that it keeps its place.
        _draw_install(layout, condition)
        stored = preferences.get()
        if stored is not None:
            layout.prop(stored, "variant")
    _draw_ending(layout)
    return has_own or condition in ("ready", "outdated")


def draw_in_preferences(layout: bpy.types.UILayout, _context: bpy.types.Context) -> None:
    """Draw the installation with all that can be done with it."""
    stored, condition = preferences.get(), installation.condition()
    box = layout.box().column()
    made = installation.installed()
    if installation.is_running():
        _draw_progress(box)
    else:
        if condition != "ready" or made is None:
            _draw_install(box, condition)
        elif installation.now().text != made.sentence:
            draw_text(box, made.sentence, "CHECKMARK")
        _draw_ending(box)
    column = box.column()
    column.enabled = not installation.is_running()
    column.prop(stored, "variant")
    column.prop(stored, "package_index")
    column.prop(stored, "proxy")
    if installation.condition() != "absent":
        draw_text(box, place_sentence(), "INFO")
    row = box.row(align=True)
    row.operator("draggan.repair_engine", icon="TOOL_SETTINGS")
    row.operator("draggan.remove_engine", icon="TRASH")
    row.operator("draggan.save_bundle", icon="EXPORT")
    row.operator("draggan.install_bundle", icon="IMPORT")
    row = box.row(align=True)
    row.operator("draggan.show_install_log", icon="TEXT")
    row.operator("draggan.copy_report", icon="COPYDOWN")
    row.operator("draggan.check_python", icon="VIEWZOOM")


def place_sentence() -> str:
    """Return a sentence that says where the engine is, and what becomes of it."""
    folder = installation.places().engine
    return f"The engine is in {folder}; updates keep it, and uninstalling removes it"


def _draw_install(layout: bpy.types.UILayout, condition: str) -> None:
    """Draw one big button, with what it will download before it is pressed."""
    row = layout.row()
    row.scale_y = 1.8
    row.operator("draggan.install_engine", text=_TITLES[condition], icon="IMPORT")
    if condition in _SENTENCES:
        draw_text(layout, _SENTENCES[condition], "ERROR" if condition == "broken" else "INFO")
    draw_text(layout, _size_sentence(), "INFO")
    locks, machine = installation.locks(), installation.machine()
    gap, stored = locks.gap(machine), preferences.get()
    # Whoever has chosen a variant that can be installed has no need of the other one.
    if gap and (stored is None or stored.variant not in locks.available(machine)):
        draw_text(layout, gap, "INFO")
    if not bpy.app.online_access:
        draw_text(layout, "Blender may not use the internet", "ERROR")
        layout.prop(bpy.context.preferences.system, "use_online_access")


def _size_sentence() -> str:
    """Return what an installation downloads and needs on the disk."""
    stored, machine = preferences.get(), installation.machine()
    locks = installation.locks()
    chosen = "auto" if stored is None else stored.variant
    names = [chosen]
    if chosen == "auto":
        is_unknown = machine.system == "windows" and not machine.gpu
        names = locks.available(machine) if is_unknown else [locks.best(machine)]
    parts = []
    for name in names:
        facts = locks.facts(name, machine)
        if facts is None:
            parts.append(f"{LABELS[name]}: not available for this system")
        else:
            download, disk = size_in_words(facts.download_bytes), size_in_words(facts.disk_bytes)
            parts.append(f"{LABELS[name]}: downloads {download}, needs {disk} of disk")
    if len(parts) > 1:
        return f"What suits this computer. {'; '.join(parts)}"
    return parts[0]


def _draw_progress(layout: bpy.types.UILayout) -> None:
    now = installation.now()
    row = layout.row(align=True)
    row.progress(factor=now.fraction, text=f"{now.fraction:.0%}")
    row.operator("draggan.cancel_install", text="", icon="X")
    draw_text(layout, now.text, "NONE")


def _draw_ending(layout: bpy.types.UILayout) -> None:
    """Draw how the last installer has ended."""
    now, made = installation.now(), installation.installed()
    if now.phase == state.FAILED:
        box = layout.box().column(align=True)
        draw_text(box, now.text, "ERROR")
        row = box.row(align=True)
        row.operator("draggan.show_install_log", icon="TEXT")
        row.operator("draggan.copy_report", icon="COPYDOWN")
    elif now.phase in (state.DONE, state.CANCELLED) and pump.is_off(pump.state()):
        # A running engine says itself what it is ready on.
        draw_text(layout, now.text, "CHECKMARK" if now.phase == state.DONE else "INFO")
    stored = preferences.get()
    if made is not None and made.failed_device and stored is not None and stored.device != "cpu":
        layout.operator("draggan.use_cpu", icon="ERROR")


def register() -> None:
    """Let the preferences draw the installation."""
    preferences.draw_installation = draw_in_preferences


def unregister() -> None:
    """Draw the preferences without the installation."""
    preferences.draw_installation = None
