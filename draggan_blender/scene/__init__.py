# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and writing the scene: planes, points, images, masks and sampling over time.

Nothing here knows the engine.
"""
