# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact synthesis of parts of feature maps, with derivatives, at a fraction of the cost."""
