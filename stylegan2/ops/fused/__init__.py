# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands around a layer's matrix products, each in one pass over memory, in C++ and in CUDA.

torch does these additions one after the other, and each of them reads and writes everything. Here
a layer's values pass through all of them at once: ``elements.h`` says what becomes of one channel,
for both; ``lines.h`` and ``fused.cpp`` have the CPU's loops, ``fused.cu`` the GPU's kernels, ``border.h``
what they are called by; ``build.py`` has them compiled where there is a compiler, ``operators.py``
calls them. The matrix products stay torch's. Who has no compiler has the same results from
``winograd.py`` and ``upsampling.py``, later.
"""

from __future__ import annotations

from .build import BuildError, build
from .operators import Activation, FusedOperators

__all__ = ["Activation", "BuildError", "FusedOperators", "build"]
