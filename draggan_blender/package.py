# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of the extension's package and the folder that it is installed in."""

from __future__ import annotations

from pathlib import Path

# Blender's name of the extension (``bl_ext.<repository>.draggan_blender``): the parent of this
# package, where the manifest is. Preferences and user folders need exactly this name.
ROOT_PACKAGE = (__package__ or "").rpartition(".")[0]

# The folder that holds the manifest, this package, ``engine`` and ``stylegan2``.
ROOT = Path(__file__).resolve().parents[1]
