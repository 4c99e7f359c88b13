# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to the engine: process, socket, session state, and the pump that drives them.

Nothing here knows the scene; bpy is imported only for the pump's timer.
"""
