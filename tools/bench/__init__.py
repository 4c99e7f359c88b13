# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmarks of ``dev.py bench``: the speed of the engine and the quality of its drags.

``step`` measures time and memory of a drag step and compares them with a step of the public
programs; ``bake`` measures the frames of a bake, and ``start`` the start of the engine. ``drag``
measures drags of the built-in model against ground truth: a small detector, trained on renders
whose landmarks are known, finds the landmarks of a dragged image. ``reference`` implements the
paper's method for comparison; it is not part of the extension.
"""
