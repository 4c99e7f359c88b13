# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Points* panel with its list of pairs: layout only."""

from __future__ import annotations

from typing import Any

import bpy

from ...properties.pair import DRAGGAN_PG_pair
from ...scene import pair_images, planes, points
from .common import ImagePanel, is_narrow, pair_of
from .text import draw_text

# The icon of a state in the list, which resembles its shape in the viewport.
_ICONS: dict[str, Any] = {
    "FLAT": "SELECT_SET",
    "LOST": "QUESTION",
    "SHORT": "TRACKING_FORWARDS_SINGLE",
    "MASKED": "MOD_MASK",
}

_SENTENCES = {
    "FLAT": "{}: the handle lies on a plain area, which cannot be followed; move it to an edge, an "
    "eye or another detail",
    "LOST": "{}: what the handle marked was not found again, so the handle may be at a wrong "
    "place; put it back where it belongs, and drag in smaller moves",
    "SHORT": "{}: the handle did not come to its target; drag again, or choose a nearer target",
    "MASKED": "{}: the mask was black under the handle, so it stayed; paint white there, or "
    "disable the pair",
}
_PIN_SENTENCES = {
    "FLAT": "{}: the pin lies on a plain area, which cannot be followed; move it to a detail",
    "LOST": "{}: what is under the pin was not found again",
    "SHORT": "{}: what is under the pin did not stay where it was",
    "MASKED": "{}: the mask was black under the pin, so what it holds could not come back",
}
# So many sentences about states are shown.
_MOST_SENTENCES = 2
# Of more pairs, the number is said in place of the names.
_MOST_NAMES = 3


class DRAGGAN_UL_pairs(bpy.types.UIList):
    """A line for each pair: whether it is enabled, its colour, name, state and influence."""

    bl_idname = "DRAGGAN_UL_pairs"

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: Any,
        item: Any,
        icon: int | None,
        active_data: Any,
        active_property: str | None,
        index: int | None = 0,
        flt_flag: int | None = 0,
    ) -> None:
        row = layout.row(align=True)
        row.prop(item, "enabled", text="")
        gone = points.missing(item, context.scene)
        if gone:
            row.label(text=f"{item.name}: no {' and no '.join(gone)}", icon="ERROR")
            restore: Any = row.operator("draggan.restore_point", text="", icon="RECOVER_LAST")
            restore.index = index or 0
            return
        swatch = row.row(align=True)
        swatch.scale_x = 0.3
        swatch.prop(item, "color", text="")
        state = points.shown_state(item)
        row.prop(item, "name", text="", emboss=False, icon=_ICONS.get(state, "NONE"))
        if item.is_pin:
            row.label(text="", icon="PINNED")
        elif not is_narrow():
            row.prop(item, "influence", text="")

    def filter_items(  # type: ignore[override]  # the stubs know no result
        self, context: bpy.types.Context, data: Any, property: str
    ) -> tuple[list[int], list[int]]:
        """Leave out the pairs of edits that are not worked on, and filter by name."""
        pairs, bit = getattr(data, property), self.bitflag_filter_item
        flags = [bit] * len(pairs)
        if self.filter_name:
            helper: Any = bpy.types.UI_UL_list
            flags = helper.filter_items_by_name(self.filter_name, bit, pairs, "name")
        return [0 if pair.rests else flag for pair, flag in zip(pairs, flags, strict=True)], []


class DRAGGAN_PT_points(ImagePanel, bpy.types.Panel):
    """The list of the image's pairs of points, and adding and removing them."""

    bl_idname = "DRAGGAN_PT_points"
    bl_label = "Points"

    def draw(self, context: bpy.types.Context) -> None:
        plane = planes.require_active(context)
        layout, settings = self.layout, plane.draggan
        row = layout.row()
        row.template_list(
            "DRAGGAN_UL_pairs", "", settings, "pairs", settings, "active_pair", rows=4
        )
        buttons = row.column(align=True)
        buttons.operator("draggan.add_pair", text="", icon="ADD")
        buttons.operator("draggan.add_pin", text="", icon="PINNED")
        buttons.operator("draggan.remove_pair", text="", icon="REMOVE")
        buttons.separator()
        buttons.operator("draggan.swap_points", text="", icon="ARROW_LEFTRIGHT")
        pair = points.active_pair(plane)
        if pair is not None and not pair.is_pin:
            column = layout.column()
            column.use_property_split = True
            column.use_property_decorate = False
            if is_narrow():
                column.prop(pair, "influence")
            column.prop(pair, "radius")
        if pair is not None:
            _draw_deleted(layout, pair, context.scene)
        _draw_states(layout, list(settings.pairs))
        _draw_left(layout, [pair.name for pair in pair_images.left(plane)])
        row = pair_of(layout)
        row.prop(context.scene.draggan, "show_points")
        overlay = getattr(context.space_data, "overlay", None)
        if overlay is not None:
            row.prop(overlay, "show_relationship_lines", text="Parent Lines")
        layout.prop(settings, "keep_pairs")


def _draw_states(layout: bpy.types.UILayout, pairs: list[DRAGGAN_PG_pair]) -> None:
    """Draw a sentence for each of the first enabled pairs that something is wrong with."""
    states = [(pair, points.shown_state(pair)) for pair in pairs if pair.enabled]
    for pair, state in [entry for entry in states if entry[1] != "FINE"][:_MOST_SENTENCES]:
        sentences = _PIN_SENTENCES if pair.is_pin else _SENTENCES
        draw_text(layout, sentences[state].format(pair.name), "ERROR")


def _draw_left(layout: bpy.types.UILayout, names: list[str]) -> None:
    """Draw which pairs are off because they belong to another image, and how to use them here."""
    if not names:
        return
    listed, verbs = " and ".join(names), ("belong", "are")
    if len(names) == 1:
        verbs = ("belongs", "is")
    if len(names) > _MOST_NAMES:
        listed = f"{len(names)} pairs"
    box = layout.box().column(align=True)
    draw_text(box, f"{listed} {verbs[0]} to another image, and {verbs[1]} off", "INFO")
    box.operator("draggan.use_pairs", text="Use Here", icon="CHECKMARK")


def _draw_deleted(
    layout: bpy.types.UILayout, pair: DRAGGAN_PG_pair, scene: bpy.types.Scene | None
) -> None:
    """Draw which points of the active pair were deleted, and what to do."""
    gone = points.missing(pair, scene)
    if gone:
        box = layout.box().column(align=True)
        verb = "were" if len(gone) > 1 else "was"
        draw_text(box, f"{pair.name}: its {' and '.join(gone)} {verb} deleted", "ERROR")
        box.operator("draggan.restore_point", text="Restore", icon="RECOVER_LAST")


CLASSES = (DRAGGAN_UL_pairs, DRAGGAN_PT_points)
