# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator: configuration, mapping, synthesis and layers."""
