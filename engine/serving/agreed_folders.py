# SPDX-License-Identifier: GPL-3.0-or-later
"""Where requests may write: below the folders that Blender has agreed, and over nothing else."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from draggan_blender.protocol.file_names import channel_stem, matte_stem
from draggan_blender.protocol.messages import FrameTarget, Request

from ..errors import RequestError

_PNG = b"\x89PNG\r\n\x1a\n"


class AgreedFolders:
    """The agreed folders; safe to use from two threads."""

    def __init__(self) -> None:
        """Begin without an agreement: paths are checked for what they are, but not where."""
        self._folders: tuple[Path, ...] | None = None

    def agree(self, folders: Iterable[str]) -> None:
        """Replace the folders below which requests may write."""
        self._folders = tuple(Path(os.path.normpath(folder)) for folder in folders)

    def check(self, request: Request) -> None:
        """Refuse a request that would write elsewhere, or over something else than an image.

        Raises:
            RequestError: A path is not absolute, leads up or through a link, is not below an agreed
                folder, or the file is not an image.
        """
        image_path = getattr(request, "image_path", "")
        for path in (*([image_path] if image_path else []), *getattr(request, "image_paths", ())):
            image = self._checked(path)
            self._check_image(image)
            for beside in _written_beside(image, request):
                self._check_image(beside)
        frames = getattr(request, "frames", None)
        if isinstance(frames, FrameTarget):
            self._checked(frames.folder)
        for name in ("earlier_folder", "folder"):
            folder = getattr(request, name, "")
            if folder:
                self._checked(folder)
        difference = getattr(request, "difference_path", "")
        if difference and self._checked(difference).suffix != ".safetensors":
            raise RequestError(
                f"{difference} does not end in .safetensors, so no difference file is written there"
            )

    def _checked(self, text: str) -> Path:
        path = Path(text)
        if "\0" in text or not path.is_absolute() or ".." in path.parts:
            raise RequestError(
                f"{text!r} is not a plain absolute path, so nothing is written there"
            )
        path = Path(os.path.normpath(path))
        root = path.parent
        if self._folders is not None:
            roots = [one for one in self._folders if one == path or one in path.parents]
            if not roots:
                raise RequestError(
                    f"{path} is not below a folder of this session, so nothing is written there; "
                    "choose a folder under Settings, Folder"
                )
            root = max(roots, key=lambda one: len(one.parts))
        inside = path.parts[len(root.parts) :]
        for count in range(1, len(inside) + 1):
            part = root.joinpath(*inside[:count])
            if os.path.islink(part):
                raise RequestError(
                    f"{part} is a link, so nothing is written there; remove it, or choose the "
                    "folder that it leads to"
                )
        return path

    def _check_image(self, path: Path) -> None:
        if path.suffix.lower() != ".png":
            raise RequestError(f"{path} does not end in .png, so no image is written there")
        if not os.path.lexists(path):
            return
        is_image = path.is_file()
        if is_image:
            with path.open("rb") as file:
                is_image = file.read(len(_PNG)) == _PNG
        if not is_image:
            raise RequestError(f"{path} exists and is not a PNG image, so it is not replaced")


def _written_beside(image: Path, request: Request) -> Iterator[Path]:
    """Yield the paths of a request's other images, as far as there is something already."""
    if getattr(request, "matte", False):
        yield image.with_stem(matte_stem(image.stem))
    pattern = channel_stem(glob.escape(image.stem), "*") + glob.escape(image.suffix)
    yield from image.parent.glob(pattern)
