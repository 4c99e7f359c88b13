# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties that are stored in the .blend: property groups, and converting their values.

No work on the scene is done here.
"""
