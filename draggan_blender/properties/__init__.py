# SPDX-License-Identifier: GPL-3.0-or-later
"""What the .blend stores: property groups and their values, without any work on the scene."""
