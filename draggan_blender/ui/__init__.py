# SPDX-License-Identifier: GPL-3.0-or-later
"""The user interface: operators, panels and shortcuts.

The work is not done here: operators call plain functions of the folders that this one may import.
"""
