# SPDX-License-Identifier: GPL-3.0-or-later
"""From a picture to a latent: alignment, inversion, tuning of the model, and blending back.

``solve.invert`` finds the latent, and ``tuning.tune`` changes the model so that it matches.
"""
