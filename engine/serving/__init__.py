# SPDX-License-Identifier: GPL-3.0-or-later
"""Serving requests from Blender: the connection, the queue, and the jobs that run requests.

This is the only folder of the engine that uses sockets and messages. The algorithms are in the
folders below it.
"""
