# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for other programs and people: images, videos, portable copies, scenes for a render farm.

Making the results that are exported is in ``jobs`` and ``timeline``.
"""
