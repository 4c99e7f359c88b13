# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognition of a file by its first bytes.

Names and extensions are not reliable: people rename ``.pt`` to ``.pkl``, and a failed download may
be a web page called ``ffhq.pkl``. So only the content counts, and the message about a file that
cannot be read says what the file is.
"""

from __future__ import annotations

import os
import re
import struct
from enum import Enum, auto
from pathlib import Path

from ..errors import ModelErrorKind
from .byte_source import open_bytes
from .latent_names import latent_name
from .old_pickle import first_global
from .refusal import Refusal, damaged, unsafe
from .storages import TORCH_MAGIC
from .zip_directory import read_directory

HEAD_BYTES = 1024
_LEAST_HOLLOW_BYTES = 32 << 20
# A training file with two networks and their optimisers, of 1024 px and doubled channels.
MAX_FILE_BYTES = 4 << 30
# The limit of the format.
MAX_SAFETENSORS_HEADER_BYTES = 100_000_000

EXPECTED = "a StyleGAN2 model (.pkl, .pt or .safetensors) is expected"

# The first value in the older format of ``torch.save``, after the pickle protocol.
_TORCH_MAGIC_BYTES = TORCH_MAGIC.to_bytes(10, "little")
# How much of a pickle of protocol 0 or 1 is searched for the name of what it asks for.
_OLD_PICKLE_BYTES = 4 << 20
_OLD_PICKLE = re.compile(rb"c[\w.]+\n[\w.]+\n|[(\]}ciSVIFLN]")

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "a WebP image or other RIFF file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed; unpack it first"),
    (b"\x89HDF\r\n", "an HDF5 (Keras) file"),
    (b"BLENDER", "a Blender file"),
    (b"\x93NUMPY", "a NumPy array, such as a saved latent (Load Latent)"),
    (b"%PDF", "a PDF document"),
)


class Container(Enum):
    """The containers that have a reader."""

    PICKLE = auto()
    TORCH_ZIP = auto()
    TORCH_LEGACY = auto()
    SAFETENSORS = auto()


def sniff(path: Path) -> Container:
    """Return the container of a file.

    Raises:
        Refusal: The file is not in a supported container; the reason says what it is instead.
        OSError: The file cannot be opened.
    """
    if path.is_dir():
        raise Refusal(ModelErrorKind.MISSING, f"is a folder; {EXPECTED}")
    if path.exists() and not path.is_file():
        raise Refusal(ModelErrorKind.MISSING, f"is not a regular file; {EXPECTED}")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        status = os.fstat(file.fileno())
        size = status.st_size
        file.seek(max(size - 1, 0))
        last = file.read(1)
    if size > MAX_FILE_BYTES:
        raise damaged(f"has {size / 2**30:.1f} GiB, more than any StyleGAN2 checkpoint", EXPECTED)
    if _is_hollow(status):
        raise damaged("is mostly empty on the disk, like an unfinished download")
    if head[:1] == b"\x80" and (len(head) < 2 or 2 <= head[1] <= 5):
        if head[2:4] == b"\x8a\x0a" and head[4:14] == _TORCH_MAGIC_BYTES:
            return Container.TORCH_LEGACY
        return Container.PICKLE
    if head.startswith(b"PK"):
        return _zip(path)
    if _is_safetensors(head):
        return Container.SAFETENSORS
    raise _foreign(path, head, last)


def _is_hollow(status: os.stat_result) -> bool:
    """Return whether most of a large file has no place on the disk, so that it reads as zeros.

    File systems that do not count blocks report none.
    """
    on_disk = 512 * getattr(status, "st_blocks", 0)
    return status.st_size >= _LEAST_HOLLOW_BYTES and 0 < on_disk < status.st_size // 4


def _is_safetensors(head: bytes) -> bool:
    if len(head) < 9 or head[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", head[:8])
    return bool(length <= MAX_SAFETENSORS_HEADER_BYTES)


def _foreign(path: Path, head: bytes, last: bytes) -> Refusal:
    """Return the refusal of a file that is not in a supported container."""
    if not head:
        return Refusal(ModelErrorKind.NOT_A_MODEL, "is empty; download it again")
    if head.startswith(b"version https://git-lfs"):
        return Refusal(
            ModelErrorKind.NOT_A_MODEL,
            "is a Git LFS pointer and not the model itself; run 'git lfs pull', or download the "
            "file from the web page of its repository",
        )
    if head[257:262] == b"ustar":
        return Refusal(ModelErrorKind.NOT_A_MODEL, f"is a tar archive; unpack it first; {EXPECTED}")
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            return Refusal(ModelErrorKind.NOT_A_MODEL, f"is {what}; {EXPECTED}")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<"):
        return Refusal(
            ModelErrorKind.NOT_A_MODEL,
            "is a web page (HTML) and not a model; the download needs a confirmation or a login "
            "in the browser, so download it again there",
        )
    if last == b"." and _OLD_PICKLE.match(head):
        return _old_pickle(path)
    if not head.strip(b"\x00"):
        return Refusal(
            ModelErrorKind.NOT_A_MODEL,
            "begins with zeros, like an unfinished download; download it again",
        )
    what = "a text file" if _is_text(head) else "not a model file of a known kind"
    return Refusal(ModelErrorKind.NOT_A_MODEL, f"is {what}; {EXPECTED}")


def _is_text(head: bytes) -> bool:
    try:
        return head.decode("ascii").replace("\n", "").replace("\r", "").isprintable()
    except UnicodeDecodeError:
        return False


def _zip(path: Path) -> Container:
    """Return the container of a zip archive.

    Raises:
        Refusal: It was not written by ``torch.save``.
    """
    with open_bytes(path) as source:
        names = read_directory(source)
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        return Container.TORCH_ZIP
    if latent_name(name.removesuffix(".npy") for name in names if name.endswith(".npy")):
        raise Refusal(
            ModelErrorKind.NOT_A_MODEL,
            "is a saved latent (NumPy .npz file) and not a model; choose the model that it was "
            "made with, then Load Latent",
        )
    if names and all(name.endswith(".npy") for name in names):
        raise Refusal(ModelErrorKind.NOT_A_MODEL, f"is a NumPy .npz file of arrays; {EXPECTED}")
    raise Refusal(ModelErrorKind.NOT_A_MODEL, f"is a zip archive; unpack it first; {EXPECTED}")


def _old_pickle(path: Path) -> Refusal:
    """Return the refusal of a file that begins and ends like a pickle of protocol 0 or 1."""
    with path.open("rb") as file:
        name = first_global(file.read(_OLD_PICKLE_BYTES))
    if name is not None:
        return unsafe(name)
    return Refusal(ModelErrorKind.NOT_A_MODEL, f"is not a model file of a known kind; {EXPECTED}")
