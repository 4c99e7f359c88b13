# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to the engine: its process, the socket, the session's state, and the pump.

Nothing here knows the scene, and ``bpy`` is imported only for the pump's timer.
"""
