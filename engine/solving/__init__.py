# SPDX-License-Identifier: GPL-3.0-or-later
"""The drag: its loop, options and result, motion supervision, point tracking and latent spaces.

The methods that move the latent are in ``methods``. Drags for a sequence of frames are in
``engine.baking``.
"""
