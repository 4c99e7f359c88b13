# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a mask while a person watches: any number of tries, one undo step or none."""

from __future__ import annotations

from typing import Any

import bpy

from ..properties.owners import Plane
from . import mask_images, mask_shapes
from .mask_shapes import Mask


class MaskPreview:
    """The mask of a plane while a shape is chosen.

    Only values are kept, because undo replaces objects: each call needs the plane.
    """

    def __init__(self, plane: Plane) -> None:
        """Remember the mask as it is.

        Args:
            plane: A GAN image with a size.

        Raises:
            EditError: The mask is not an image whose pixels can be changed.
        """
        image = mask_images.require_editable(plane)
        self._before: Mask | None = None if image is None else mask_images.levels(image)
        self._was_shown = bool(plane.draggan.show_mask)
        self._levels: Mask | None = None

    @staticmethod
    def size(plane: Plane) -> tuple[int, int]:
        """Return the width and the height that shapes must have."""
        mask = plane.draggan.mask
        width, height = plane.draggan.size if mask is None else mask.size
        return width, height

    def show(self, plane: Plane, shape: Mask, how: Any) -> None:
        """Show the mask with a shape, instead of the shape before.

        Args:
            plane: The GAN image.
            shape: ``H x W`` of ``size``.
            how: As for ``mask_shapes.combine``.
        """
        self._levels = mask_shapes.combine(self._before, shape, how)
        if plane.draggan.mask is None:
            mask_images.create(plane, self._levels)
        else:
            mask_images.show(plane.draggan.mask, self._levels)
        plane.draggan.show_mask = True

    def keep(self, plane: Plane, name: str) -> None:
        """Keep the mask that is shown, as one undo step.

        Args:
            plane: The GAN image.
            name: The name of the undo step.
        """
        image = plane.draggan.mask
        if self._levels is None or image is None:
            return
        if self._before is None:
            mask_images.keep(image)
        else:
            mask_images.show(image, self._before)
            mask_images.write(plane, self._levels, self._before)
        bpy.ops.ed.undo_push(message=name)

    def take_back(self, plane: Plane) -> None:
        """Restore the mask that was there before, or none."""
        image = plane.draggan.mask
        if self._levels is None or image is None:
            return
        plane.draggan.show_mask = self._was_shown
        if self._before is None:
            plane.draggan.mask = None
            bpy.data.images.remove(image)
        else:
            mask_images.show(image, self._before)
