# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine is asked to do for an image: each module holds a job's request and its result.

Panels, operators and the command line are above; sockets and processes are in ``connection``.
"""
