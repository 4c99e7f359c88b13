# SPDX-License-Identifier: GPL-3.0-or-later
"""The drag: the loop, its options and result, motion supervision, point tracking, latent spaces.

The methods that move the latent are in ``methods``.
"""
