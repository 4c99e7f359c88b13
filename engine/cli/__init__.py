# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, ``python -m engine``.

This folder parses arguments, runs the commands, and prints what they report. The algorithms are in
the folders below it.
"""
