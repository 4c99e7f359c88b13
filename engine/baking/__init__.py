# SPDX-License-Identifier: GPL-3.0-or-later
"""Solving an animated edit frame by frame, into a folder that a later bake can continue from.

The drag of a single frame is in ``solving``, the writing of images in ``output``.
"""
