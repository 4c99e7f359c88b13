# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2 generators: the network, readers and writers of model files, and windowed synthesis.

No editing methods, no image files and no Blender code live here: ``engine`` builds on this package.

Load a model file, draw latents, and synthesise images::

    import torch
    from stylegan2 import load_generator

    generator = load_generator("ffhq.pkl", device="cuda")  # or a .safetensors file
    z = torch.randn(4, generator.z_dim, device="cuda")
    with torch.no_grad():
        ws = generator.mapping(z, truncation_psi=0.7)
        images = generator.synthesis(ws)

``z`` has the shape ``N x z_dim`` and is standard normal. ``ws``, the latent in W+, has the shape
``N x num_ws x w_dim``: one w vector per layer, the coarse layers first. ``images`` have the shape
``N x img_channels x H x W``; their values are nominally in [-1, 1] (-1 is black, 1 is white) and
are not clamped. A model with labels also takes ``c``, ``N x c_dim``. All tensors are float32 and on
the device of the generator.

The loaded generator is frozen: gradients with respect to ``ws`` flow, gradients with respect to the
weights are not computed. ``generator.features(ws, 128)`` returns the ``N x C x 128 x 128`` features
of one block (of a square model) without the image; ``WindowSynthesis`` computes small windows of
these features, and their gradients, at a fraction of the cost.

The network follows the formulas of the papers and reproduces the public implementations in float32.
It runs on every device of torch; compiled operators (``start_fused_operators``) are optional.
Reading a model file never executes anything in it.
"""

from __future__ import annotations

from .checkpoints import (
    ModelInfo,
    convert_checkpoint,
    inspect_checkpoint,
    load_discriminator,
    load_generator,
    original_sha256,
    read_latent,
    read_weights,
    save_generator,
    sha256_of,
)
from .errors import ModelError, ModelErrorKind
from .network.canvas import Canvas, Matte, Overlay
from .network.config import GeneratorConfig
from .network.generator import Generator
from .network.layers import NoiseMode
from .network.synthesis import SynthesisState
from .ops.fused import FusedOperators
from .ops.fused import end_loading as end_fused_loading
from .ops.scratch import Scratch
from .windows.function_graphs import FunctionGraphs
from .windows.fused_start import fused_operators, start_fused_operators
from .windows.graph_start import function_graphs, start_graphs, why_no_graphs, window_graphs
from .windows.graphs import WindowGraphs
from .windows.image_pass import ImagePass
from .windows.plan import WindowPlan, plan_windows, whole_multiply_adds
from .windows.synthesis import WindowPass, WindowSynthesis

__all__ = [
    "Canvas",
    "FunctionGraphs",
    "FusedOperators",
    "Generator",
    "GeneratorConfig",
    "ImagePass",
    "Matte",
    "ModelError",
    "ModelErrorKind",
    "ModelInfo",
    "NoiseMode",
    "Overlay",
    "Scratch",
    "SynthesisState",
    "WindowGraphs",
    "WindowPass",
    "WindowPlan",
    "WindowSynthesis",
    "convert_checkpoint",
    "end_fused_loading",
    "function_graphs",
    "fused_operators",
    "inspect_checkpoint",
    "load_discriminator",
    "load_generator",
    "original_sha256",
    "plan_windows",
    "read_latent",
    "read_weights",
    "save_generator",
    "sha256_of",
    "start_fused_operators",
    "start_graphs",
    "whole_multiply_adds",
    "why_no_graphs",
    "window_graphs",
]
