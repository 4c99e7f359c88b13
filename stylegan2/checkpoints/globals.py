# SPDX-License-Identifier: GPL-3.0-or-later
"""Every global that genuine checkpoints contain. None of them is ever imported."""

from __future__ import annotations

_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")

ALLOWED = frozenset(
    {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"),
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch.storage", "_load_from_bytes"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        *((module, "scalar") for module in _NUMPY),
        *((module, "_reconstruct") for module in _NUMPY),
        ("dnnlib.util", "EasyDict"),
        ("dnnlib", "EasyDict"),
        ("builtins", "set"),
        ("__builtin__", "set"),
        ("_codecs", "encode"),
        ("dnnlib.tflib.network", "Network"),
        # What training programs leave in their files beside the networks.
        ("argparse", "Namespace"),
        ("collections", "defaultdict"),
        ("builtins", "dict"),
        ("__builtin__", "dict"),
        ("torch", "Size"),
        ("torch", "device"),
    }
)
