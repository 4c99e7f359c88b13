# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a release: the extension's zip, its sums, its parts list, and a repository for Blender."""
