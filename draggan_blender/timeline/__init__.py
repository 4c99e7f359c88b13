# SPDX-License-Identifier: GPL-3.0-or-later
"""Work with results on the timeline: retiming, image keys, blends, and previews of the playhead.

Requests to the engine and writing their results into the scene are in ``jobs``.
"""
