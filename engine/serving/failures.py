# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns an exception into the cause and the message of a ``Failed`` ending."""

from __future__ import annotations

import errno

import torch

from draggan_blender.protocol import LocalProtocolError
from stylegan2 import ModelError

from ..errors import RequestError

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
        return "files", f"cannot read or write{where}: {reason}"
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
