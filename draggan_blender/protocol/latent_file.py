# SPDX-License-Identifier: GPL-3.0-or-later
"""The message that shows a latent that another program has saved, and the names of such files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .errors import require
from .messages import Message, ModelRequest, Request

# What the names of such files end with. The content of a file decides what it is.
LATENT_SUFFIXES = (".npz", ".npy", ".pt", ".pth")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLatent(ModelRequest):
    """Make the image of a saved latent: a PNG at ``image_path``, and its latent in ``Sampled``.

    Attributes:
        latent_path: The file; code in it is never run.
        image_path: The file to write.
    """

    kind: ClassVar[str] = "load_latent"
    latent_path: str
    image_path: str

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require(bool(self.latent_path), "the path of a latent must not be empty")


LATENT_FILE_MESSAGES: tuple[type[Message], ...] = (LoadLatent,)
