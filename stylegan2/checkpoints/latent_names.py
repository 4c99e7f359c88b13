# SPDX-License-Identifier: GPL-3.0-or-later
"""What projectors call the latent in a file of several values."""

from __future__ import annotations

from collections.abc import Iterable

# In lower case, the most telling first: where a file has several, the first one of these is taken.
_NAMES = (
    "w_plus",
    "wplus",
    "wp",
    "projected_ws",
    "projected_w",
    "w_pivot",
    "ws",
    "w",
    "latent",
    "latents",
    "latent_code",
    "latent_in",
)


def latent_name(names: Iterable[str]) -> str | None:
    """Return the name that is a latent's, of the names in a file; None if there is none.

    Args:
        names: The names, in any case.
    """
    known = {name.lower(): name for name in names}
    return next((known[name] for name in _NAMES if name in known), None)
