# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as files: tracks, rendered images, and the sequences they make up.

How the latents are found is not here; see ``solving`` and ``baking``.
"""
