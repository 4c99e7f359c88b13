# SPDX-License-Identifier: GPL-3.0-or-later
"""Solving an animated edit frame by frame, with a folder that a later bake can continue."""
