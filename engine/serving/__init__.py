# SPDX-License-Identifier: GPL-3.0-or-later
"""Serving requests from Blender: the connection, the queue, and one module for each kind of job.

The only folder that knows sockets and messages; the algorithms are below it.
"""
