# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages that add a model to a person's library, and the names of files that may be added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .errors import require, require_pixels
from .messages import Event, Message, Request

# What the names of files with models end with. The content of a file decides whether it is one.
MODEL_SUFFIXES = (".pkl", ".safetensors", ".pt", ".pth")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddModel(Request):
    """Check a model file, and convert it once to a safetensors file in a folder.

    Events: ``Progress`` and one ``ModelAdded``. The file of a cancelled or failed request is not
    written. A file that was written by an earlier request for the same content is used again.

    Attributes:
        source_path: The absolute path of the file to read; code in it is never run.
        folder: Where the new file goes; made if it is missing.
        size_px: How long the longer side of the thumbnail should be at least, as in
            ``explore.SampleSheet``.
    """

    kind: ClassVar[str] = "add_model"
    source_path: str
    folder: str
    size_px: int

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require(bool(self.folder), "the folder of a library must not be empty")
        require(self.size_px > 0, f"size_px must be positive, not {self.size_px}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAdded(Event):
    """A model was checked and written, with a small image of it.

    Attributes:
        path: The new file.
        sha256: Its SHA-256.
        source_sha256: The SHA-256 of the file that it was converted from.
        width: The width of the model's images, in pixels.
        height: Their height.
        c_dim: How many numbers the label of an image has; 0 for a model without labels.
        license_note: What the file says about its licence; may be empty.
        thumbnail_width: The width of ``pixels``.
        thumbnail_height: Their height.
        pixels: A typical image of the model, with pixels as in ``drag_messages.Preview``.
    """

    kind: ClassVar[str] = "model_added"
    path: str
    sha256: str
    source_sha256: str
    width: int
    height: int
    c_dim: int
    license_note: str
    thumbnail_width: int
    thumbnail_height: int
    pixels: bytes

    def __post_init__(self) -> None:
        require_pixels(self.thumbnail_width, self.thumbnail_height, self.pixels)


LIBRARY_MESSAGES: tuple[type[Message], ...] = (AddModel, ModelAdded)
