# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns an exception into the cause and the message of a ``Failed`` ending."""

from __future__ import annotations

import errno

import torch

from draggan_blender.protocol import LocalProtocolError
from stylegan2 import ModelError

from ..errors import RequestError

# What the person can do about an error of the system, by its number.
_OTHER_PLACE = "choose another place, or give this account the right to use it"
_OTHER_KIND = (
    "a file, or a link to nothing, is where a folder is needed, or a folder where a file is"
)
_ADVICE = {
    errno.ENOSPC: "free some space on this disk, or choose a folder on another one",
    errno.EDQUOT: "delete some of your files on this disk, or choose a folder on another one",
    errno.EACCES: _OTHER_PLACE,
    errno.EPERM: _OTHER_PLACE,
    errno.EROFS: "choose a folder on a disk that can be written to",
    errno.ENOENT: "check the path",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EEXIST: _OTHER_KIND,
    errno.EISDIR: _OTHER_KIND,
    errno.ENOTDIR: _OTHER_KIND,
}

# What the text of a plain ``RuntimeError`` of torch contains when memory runs out (CPU, MPS).
# The thread that writes frames cannot start either when memory is short.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "bad_alloc",
    "can't start new thread",
)


def failure(error: Exception) -> tuple[str, str]:
    """Return the cause and the message of an exception.

    Returns:
        The cause, as the ``Failed`` message has it (``model``, ``request``, ``files``, ``memory``
        or ``internal``), and a sentence for the person, in one line.
    """
    cause, sentence = _failure(error)
    return cause, " ".join(sentence.split())


def _failure(error: Exception) -> tuple[str, str]:
    if isinstance(error, ModelError):
        return "model", str(error)
    if isinstance(error, RequestError | LocalProtocolError):
        return "request", str(error)
    if _is_out_of_memory(error):
        return "memory", (
            "there is not enough memory for this model; close other programs, "
            "choose a smaller model, or run the engine on another device"
        )
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        reason = error.strerror or str(error)
        advice = _ADVICE.get(error.errno or 0)
        return "files", f"cannot read or write{where}: {reason}" + (f"; {advice}" if advice else "")
    return (
        "internal",
        f"an internal error in the engine ({type(error).__name__}: {error}); see the log",
    )


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in text for part in _OUT_OF_MEMORY)
