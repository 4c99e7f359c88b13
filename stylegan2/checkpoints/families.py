# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognition of networks that cannot be read, so that the message can name them.

People who download a ``.pkl`` cannot see what is in it, and "unsupported" alone would not help
them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..errors import ModelErrorKind
from .inert_pickle import GlobalName, Node
from .pickled_tensor import TORCH_MAGIC
from .refusal import Refusal, damaged, printable, unsupported

_TF_NETWORK = GlobalName("dnnlib.tflib.network", "Network")

_MODULES = {
    "training.triplane": "EG3D",
    "training.volumetric_rendering": "EG3D",
    "training.dual_discriminator": "EG3D",
    "pg_modules": "StyleGAN-XL or Projected GAN",
    "tfutil": "Progressive GAN for TensorFlow",
    "network": "Progressive GAN for TensorFlow",
}


def module_hint(name: str) -> str:
    """Return what a refused global says about the file, such as " (a part of EG3D)", or ""."""
    for module, family in _MODULES.items():
        if name.startswith(f"{module}."):
            return f" (a part of {family}, another network)"
    return ""


def name_top_level(top: object) -> Refusal:
    """Return the refusal of a pickle that does not contain a ``G_ema`` generator.

    Args:
        top: The value of the pickle; for a dictionary, its entries.
    """
    if isinstance(top, Node) and top.callee == _TF_NETWORK:
        return _tensorflow(top)
    if isinstance(top, tuple | list) and top:
        networks = [v for v in top if isinstance(v, Node) and v.callee == _TF_NETWORK]
        if len(networks) == len(top):
            return _tensorflow(networks[-1])
    if isinstance(top, Mapping):
        if top.get("D") is not None and top.get("G") is None:
            return unsupported("holds a discriminator only, but the generator G_ema is needed")
        keys = ", ".join(printable(str(key), 20) for key in list(top)[:4])
        return unsupported(
            f"is a dictionary ({keys or 'empty'}) without the generator G_ema of a StyleGAN2 "
            "training snapshot"
        )
    if isinstance(top, int) and top == TORCH_MAGIC:
        return unsupported("was written by torch.save (.pt), which is not supported yet")
    return Refusal(
        ModelErrorKind.NOT_A_MODEL,
        "is a Python pickle, but not one of a StyleGAN2 training snapshot",
    )


def _tensorflow(network: Node) -> Refusal:
    """Return the refusal of a TensorFlow network, identified by the names of its variables."""
    names = _variable_names(network)
    if any("StyleMod" in name for name in names):
        return unsupported("is a StyleGAN1 model for TensorFlow, another network than StyleGAN2")
    if any("mod_weight" in name for name in names):
        return unsupported(
            "is a StyleGAN2 model in the older TensorFlow format, which is not supported yet; "
            "convert it with legacy.py of the StyleGAN2-ADA (PyTorch) repository"
        )
    return unsupported("is a network for TensorFlow, but not a StyleGAN2 generator")


def _variable_names(network: Node) -> list[str]:
    """Return the variable names of a pickled TensorFlow network and of its direct components."""
    names: list[str] = []
    states = [network.state]
    components = _entries(network.state).get("components")
    states += [v.state for v in list(_entries(components).values())[:8] if isinstance(v, Node)]
    for state in states:
        variables = _entries(state).get("variables")
        for variable in variables if isinstance(variables, list) else []:
            if isinstance(variable, tuple) and variable and isinstance(variable[0], str):
                names.append(variable[0])
    return names


def _entries(value: object) -> Mapping[object, object]:
    entries = value.entries if isinstance(value, Node) else value
    return entries if isinstance(entries, dict) else {}


def name_family(
    class_name: str, children: Collection[object], synthesis: Collection[object]
) -> Refusal:
    """Return the refusal of a PyTorch network under ``G_ema`` that is not a StyleGAN2 generator.

    Args:
        class_name: The class name of the root module.
        children: The names of its submodules.
        synthesis: The names of the submodules of ``synthesis``; empty if it is missing.
    """
    if "backbone" in children or "superresolution" in children:
        return unsupported("is an EG3D model, another network than StyleGAN2")
    if "input" in synthesis and any(str(name).startswith("L0_") for name in synthesis):
        return unsupported("is a StyleGAN3 model, another network than StyleGAN2")
    if class_name == "Discriminator" or "b4" in children:
        return unsupported("holds a discriminator where the generator should be")
    if "mapping" in children and "synthesis" in children:
        return damaged("has a synthesis network without the block b4 of StyleGAN2")
    return unsupported(
        f"holds the network {printable(class_name)}, which is not a StyleGAN2 generator"
    )
