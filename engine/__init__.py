# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: a process that drags points of a generator's image, without Blender.

It contains nothing that imports Blender. ``cli`` and ``serving`` turn arguments and messages into
jobs, ``baking`` solves a drag for each frame of a sequence, ``output`` writes images and tracks,
``solving`` is the drag itself, and ``features`` and ``machine`` are what the drag computes with.
Each folder imports only folders that come later in this list. Everything below ``serving`` knows
neither sockets nor messages and can be used from any Python program.
"""
