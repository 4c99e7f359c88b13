# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaving the file: image and video files, portable copies, scenes prepared for a render farm."""
