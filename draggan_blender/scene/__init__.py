# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and writing the scene: planes, points, images, masks and edits sampled over time.

Nothing here uses the engine; requests to it are in ``jobs``.
"""
