# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees and presses: operators, panels and shortcuts.

They call plain functions of the folders below and do no work themselves.
"""
