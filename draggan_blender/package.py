# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of the extension's package and the folder that it is installed in."""

from __future__ import annotations

from pathlib import Path

# The extension as Blender names it (``bl_ext.<repository>.draggan_blender``): the parent of this
# package, where the manifest is. Preferences and user folders need exactly this name.
ROOT_PACKAGE = (__package__ or "").rpartition(".")[0]

# The folder that holds the manifest, and ``engine`` and ``stylegan2`` beside this package.
ROOT = Path(__file__).resolve().parents[1]
