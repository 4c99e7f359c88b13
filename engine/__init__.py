# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: a process of its own that drags points of a generator's image, without Blender.

Three rings, each importing only inwards: ``server`` and ``cli`` (bytes, arguments, the process),
``worker`` (requests become jobs), and the algorithms (``drag``, ``render``, ``track``…), which know
nothing of sockets or messages and can be used from any Python program.
"""
