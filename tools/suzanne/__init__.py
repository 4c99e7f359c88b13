# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the built-in model: Blender renders Suzanne, and this project's generator learns her.

The commands are, in this order, ``render`` (with Blender's ``bpy``), ``train``, ``distill`` and
``card`` (all three with torch); ``README.md`` lists them. Nothing here is needed to use the model.
"""
