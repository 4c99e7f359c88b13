# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as files: tracks and rendered frames."""
