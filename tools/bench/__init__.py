# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmarks: how fast a drag step is (`step`), and how well we drag (`drag`).

`step` measures time and memory of any model, beside those of the public programs' step.  `drag`
measures the built-in model against ground truth: a small detector, trained on renders whose
landmarks are known, says where the landmarks of a dragged image are.  The paper's method is kept
here as the row to compare both with (`reference`), out of the product.
"""
