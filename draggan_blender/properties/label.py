# SPDX-License-Identifier: GPL-3.0-or-later
"""The label of images without one."""

from __future__ import annotations

NO_LABEL = -1
