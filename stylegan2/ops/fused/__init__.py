# SPDX-License-Identifier: GPL-3.0-or-later
"""Fused operators: the steps around the matrix products of a layer, compiled from C++ and CUDA.

The matrix products themselves are torch's. In torch each of the other steps reads and writes all
values; here one pass over memory does all of them. On a CPU, whole maps are computed with their
products, part by part (``maps.cpp``), and maps of many channels for previews by larger tiles
(``wide.cpp``, see ``wide_winograd``). Without a compiler, ``winograd`` and ``upsampling`` compute
the same results more slowly.

``elements.h`` defines the arithmetic of one channel for both devices. ``lines.h``, ``tiles.h`` and
``fused.cpp`` have the loops for CPUs, ``product.h`` the products of ``maps.cpp``, ``fused.cu`` the
kernels for GPUs, and ``border.h`` declares the functions of the libraries. ``build.py`` compiles
them, and ``operators.py`` calls them. Where NVRTC compiles the kernels alone (``nvrtc.py``),
``kernels.py`` launches them by ``driver.py``.
"""

from __future__ import annotations

from .build import build
from .errors import BuildError
from .loading import end_loading, noted
from .operators import PANEL, Activation, FusedOperators
from .private import private_folder

__all__ = [
    "PANEL",
    "Activation",
    "BuildError",
    "FusedOperators",
    "build",
    "end_loading",
    "noted",
    "private_folder",
]
