# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's models: files in the extension's user folder, each with a small description.

Standard library only.
"""

from __future__ import annotations
