# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the built-in model: Blender renders Suzanne, this project's generator learns her.

Three commands, in this order: `render` (inside Blender), `train` (torch), `distill` (torch).
`factors` and `dataset` hold what they share.  Nothing here is needed to use the model.
"""
