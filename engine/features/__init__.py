# SPDX-License-Identifier: GPL-3.0-or-later
"""Feature sources, which return windows of a generator's feature map around given points.

Windows are cut from the whole map or computed without it. What a drag does with them is in
``solving``.
"""
