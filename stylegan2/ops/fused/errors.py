# SPDX-License-Identifier: GPL-3.0-or-later
"""The error of builds of the fused operators."""

from __future__ import annotations

NOT_BUILT = "the fused operators were not built"


class BuildError(Exception):
    """A missing compiler or Ninja, or a failed build; the message is one line that names which."""
