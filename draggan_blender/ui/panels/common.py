# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels of the sidebar share: where they are, and an image's progress and status."""

from __future__ import annotations

from typing import Any

import bpy

from ...connection.state import State
from ...jobs import live, missing_images
from ...properties.owners import Plane
from ...scene import planes, time_stretching
from .text import draw_text

# A sidebar that is narrower than this has its buttons one below the other, px at a scale of 1.
_NARROW_PX = 270


class SidebarPanel:
    """A panel of the DragGAN tab."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "DragGAN"

    layout: bpy.types.UILayout


class ImagePanel(SidebarPanel):
    """A panel that is shown only while a GAN image is active."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return planes.active(context) is not None


class MadeImagePanel(ImagePanel):
    """A panel that is shown only while a GAN image is active whose plane shows an image already."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        plane = planes.active(context)
        return plane is not None and bool(plane.draggan.latent)


def is_narrow() -> bool:
    """Return whether two labels do not fit beside each other in the region that is drawn."""
    region: Any = bpy.context.region
    ui_scale = bpy.context.preferences.system.ui_scale
    return region is not None and 1 < region.width < _NARROW_PX * ui_scale


def pair_of(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    """Return a row for two buttons, or a column in a narrow sidebar, where they would be cut."""
    return layout.column(align=True) if is_narrow() else layout.row(align=True)


def draw_actions(
    layout: bpy.types.UILayout, start: str, icon: Any, *, is_running: bool
) -> bpy.types.UILayout:
    """Draw one high row: the button that starts the work, or those that end it, in its place.

    Args:
        layout: Where to draw.
        start: The operator that starts the work.
        icon: Its icon.
        is_running: Whether the work has started.

    Returns:
        The row, for more buttons.
    """
    row = layout.row(align=True)
    row.scale_y = 1.4
    if is_running:
        row.operator("draggan.stop", icon="SNAP_FACE")
        row.operator("draggan.cancel", text="", icon="X")
    else:
        row.operator(start, icon=icon)
    return row


def draw_status(layout: bpy.types.UILayout, plane: Plane, state: State) -> None:
    """Draw how the last request of a GAN image ended, or an empty line in its place.

    If images are missing, that is drawn instead, or below the reason why the request failed.
    """
    settings = plane.draggan
    missing = "" if settings.request_id else missing_images.sentence(plane)
    missing = missing or time_stretching.sentence(plane)
    if missing and not settings.failed:
        draw_text(layout, missing, "ERROR")
        return
    if settings.failed and settings.status == state.error:
        draw_text(layout, "Failed; see the Engine panel", "ERROR")
    elif settings.status and not settings.request_id:
        draw_text(layout, settings.status, "ERROR" if settings.failed else "INFO")
    else:
        layout.label()
    if missing:
        draw_text(layout, missing, "ERROR")


def draw_restore(layout: bpy.types.UILayout, plane: Plane) -> None:
    """Draw *Restore Images*, in red while images are missing."""
    row = layout.row(align=True)
    row.alert = bool(missing_images.count(plane))
    row.operator("draggan.render_again", icon="RENDER_ANIMATION")


def draw_progress(layout: bpy.types.UILayout, settings: Any, state: State) -> None:
    """Draw the progress of the running request of a GAN image."""
    job = state.active
    if job is None or job.request.request_id != settings.request_id:
        layout.progress(factor=0.0, text="Waiting for the engine")
        return
    text = state.text or "Working"
    if state.distance_px is not None:
        text = f"Step {state.step}: {state.distance_px:.1f} px to go"
    if live.is_paused_request(settings.request_id):
        text = "Paused"
    if state.ending_asked:
        text = "Stopping"
    if state.silent:
        text = "The engine does not answer"
    layout.progress(factor=state.fraction, text=text)
