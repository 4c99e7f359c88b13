# SPDX-License-Identifier: GPL-3.0-or-later
"""Feature sources: windows of feature maps around points, cut from whole maps or computed alone."""
