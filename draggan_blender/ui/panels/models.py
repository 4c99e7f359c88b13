# SPDX-License-Identifier: GPL-3.0-or-later
"""The person's models as tiles, and what is known about the chosen one: layout only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from ...installing.sizes import size_in_words
from ...jobs import library, relinking
from ...library.entries import Entry
from ...scene import planes, thumbnails
from .common import SidebarPanel, pair_of
from .text import draw_text
from .tiles import draw_tiles


class DRAGGAN_PT_models(SidebarPanel, bpy.types.Panel):
    """The built-in model and the person's own: a click chooses one for the image."""

    bl_idname = "DRAGGAN_PT_models"
    bl_label = "Models"
    bl_parent_id = "DRAGGAN_PT_image"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        source = (planes.active(context) or context.scene).draggan.source
        shown = library.shown(source)
        tiles = [
            (thumbnails.icon_of_text(entry.thumbnail), _button(entry, entry == shown))
            for entry in library.everything()
        ]
        draw_tiles(layout, tiles)
        layout.operator("draggan.add_model", icon="ADD", text="Add Model...")
        _draw_adding(layout)
        if shown is not None:
            _draw_details(layout.box().column(align=True), shown)
        elif source.kind == "FILE" and source.path:
            draw_text(layout, f"{Path(source.path).name} is not one of your models", "INFO")


def draw_missing(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw that the model of the active image is missing, with *Relink*; nothing otherwise."""
    plane = planes.active(context)
    if plane is None or not relinking.is_missing(plane):
        return
    box = layout.box().column(align=True)
    draw_text(box, f"The model {Path(plane.draggan.source.path).name} was moved", "ERROR")
    box.operator("draggan.relink_model", icon="FILE_FOLDER", text="Relink Model...")


def _button(entry: Entry, is_shown: bool) -> Callable[[Any], None]:
    def draw(layout: Any) -> None:
        button = layout.operator(
            "draggan.pick_model", text=entry.name, depress=is_shown, translate=False
        )
        button.chosen = entry.name

    return draw


def _draw_adding(layout: bpy.types.UILayout) -> None:
    adding, problems = library.adding(), library.problems()
    if adding:
        row, first = layout.row(align=True), adding[0]
        row.progress(factor=first.fraction, text=first.text)
        row.operator("draggan.cancel_adding", text="", icon="X")
        if len(adding) > 1:
            layout.label(text=f"{len(adding) - 1} more to add", translate=False)
    if problems:
        box = layout.box().column(align=True)
        for problem in problems:
            draw_text(box, problem, "ERROR")
        if not adding:
            box.operator("draggan.cancel_adding", text="OK")


def _draw_details(layout: bpy.types.UILayout, entry: Entry) -> None:
    is_own = not library.is_built_in(entry)
    labels = f"{entry.labels} labels" if entry.labels else "no labels"
    size = size_in_words(entry.size_bytes)
    draw_text(layout, f"{entry.width} x {entry.height} px, {labels}, {size}", "NONE")
    if entry.origin:
        origin = Path(entry.origin)
        draw_text(layout, f"From {origin.name}", "NONE")
        draw_text(layout, f"in {origin.parent}", "NONE")
    draw_text(layout, f"Licence: {entry.note}" if entry.note else "Licence: not noted", "NONE")
    row = pair_of(layout)
    if is_own:
        row.operator("draggan.describe_model", text="Describe", icon="GREASEPENCIL")
    row.operator("draggan.show_model", icon="FILE_FOLDER")
    if is_own:
        layout.operator("draggan.remove_model", icon="TRASH")


CLASSES = (DRAGGAN_PT_models,)
