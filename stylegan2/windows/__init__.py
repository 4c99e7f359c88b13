# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact synthesis of windows of feature maps, with gradients, at a fraction of the cost.

The synthesis of whole maps and images is in ``network``.
"""
