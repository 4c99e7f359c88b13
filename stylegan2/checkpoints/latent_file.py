# SPDX-License-Identifier: GPL-3.0-or-later
"""The latent in a file that ``torch.save`` wrote: a pivot, or the result of a projector."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor

from ..errors import ModelErrorKind
from .budget import Budget
from .byte_source import open_bytes
from .latent_names import latent_name
from .pickled_tensor import is_tensor, read_tensor
from .refusal import Refusal, damaged, refusals_about
from .sniff import Container, sniff
from .torch_file import read_legacy, read_zip
from .values import entries_of

_READERS = {Container.TORCH_ZIP: read_zip, Container.TORCH_LEGACY: read_legacy}
# Far beyond the latent of any model.
_MAX_BYTES = 16 << 20
# The most values of a w vector that strides of zero repeat, as of ``w.expand(1, 18, -1)``.
_MAX_EXPANDED = 1 << 20


def read_latent(path: str | os.PathLike[str]) -> Tensor:
    """Read the latent of a ``.pt`` file, in either container of ``torch.save``.

    The file holds a tensor, a dictionary with one under a name of ``latent_names``, or
    dictionaries with a ``latent`` by the names of pictures. Nothing in it is executed.

    Args:
        path: The file.

    Returns:
        float32, of the shape in the file.

    Raises:
        ModelError: The file cannot be read, or holds no latent.
    """
    file_path = Path(path)
    with refusals_about(file_path):
        read = _READERS.get(sniff(file_path))
        if read is None:
            raise Refusal(ModelErrorKind.NOT_A_MODEL, "is not a file of torch.save with a latent")
        with open_bytes(file_path) as source:
            top, storages = read(source, Budget(file_bytes=source.size))
            recipe = read_tensor(_find(top), "its latent", storages, _MAX_EXPANDED)
            if recipe.nbytes > _MAX_BYTES:
                raise damaged("has more values than any latent", "choose a saved latent")
            return recipe.tensor("its latent")


def _find(top: object) -> object:
    """Return the node of the tensor that is the latent.

    Raises:
        Refusal: There is none, or there are several.
    """
    if is_tensor(top):
        return top
    if isinstance(top, tuple | list):
        found = [value for value in top if is_tensor(value)]
    else:
        entries = entries_of(top) or {}
        named = {key: value for key, value in entries.items() if isinstance(key, str)}
        name = latent_name(key for key, value in named.items() if is_tensor(value))
        inner = [(entries_of(value) or {}).get("latent") for value in named.values()]
        found = [value for value in inner if is_tensor(value)] if name is None else [named[name]]
    if len(found) != 1:
        what = "holds no latent" if not found else f"holds {len(found)} latents, and one is needed"
        raise Refusal(ModelErrorKind.NOT_A_MODEL, what)
    return found[0]
