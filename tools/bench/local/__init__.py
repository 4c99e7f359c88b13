# SPDX-License-Identifier: GPL-3.0-or-later
"""Drags as artists make them: one part of the picture is pulled, turned or sized, the rest stays.

What a drag is, its truth and its measures are here; the methods that are compared are not: they
are the rows of ``tools.bench.rows``.
"""
