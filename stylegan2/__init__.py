# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2 generators: the network, and readers for the files that hold one.

The network is written from the formulas of the papers and computes what the public
implementations compute, in float32.  It runs wherever torch does; compiled operators are an
addition where there is a compiler (`fused_start`).  Reading a model file executes nothing in it.
"""

from __future__ import annotations

from .checkpoints import (
    ModelInfo,
    convert_checkpoint,
    inspect_checkpoint,
    load_generator,
    save_generator,
    sha256_of,
)
from .errors import ModelError, ModelErrorKind
from .network.config import GeneratorConfig
from .network.generator import Generator
from .network.layers import NoiseMode
from .network.synthesis import SynthesisState
from .windows.fused_start import fused_operators, start_fused_operators
from .windows.plan import WindowPlan, plan_windows
from .windows.synthesis import WindowPass, WindowSynthesis

__all__ = [
    "Generator",
    "GeneratorConfig",
    "ModelError",
    "ModelErrorKind",
    "ModelInfo",
    "NoiseMode",
    "SynthesisState",
    "WindowPass",
    "WindowPlan",
    "WindowSynthesis",
    "convert_checkpoint",
    "fused_operators",
    "inspect_checkpoint",
    "load_generator",
    "plan_windows",
    "save_generator",
    "sha256_of",
    "start_fused_operators",
]
