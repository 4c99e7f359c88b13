# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of the engine for a GAN image: each module builds a request and writes its result.

Panels, operators and the command line are not here; sockets and processes are in ``connection``.
"""
