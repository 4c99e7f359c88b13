# SPDX-License-Identifier: GPL-3.0-or-later
"""Working with results on the timeline: retiming, image keys, blending, previews of frames.

How a single job is requested and written into the scene is in ``jobs``.
"""
