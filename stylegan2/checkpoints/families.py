# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognition of networks that cannot be read, so that the message can name them.

People who download a ``.pkl`` cannot see what is in it, and "unsupported" alone would not help
them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from ..errors import ModelErrorKind
from .inert_pickle import GlobalName
from .latent_names import latent_name
from .pickled_tensor import is_tensor, size_of
from .refusal import Refusal, damaged, printable, unsupported
from .values import entries_of

TF_NETWORK = GlobalName("dnnlib.tflib.network", "Network")

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


# Parts of the keys of state dicts that tell a network, the most specific first.
_KEYS: tuple[tuple[str, str], ...] = (
    (r"(backbone\.synthesis|superresolution|renderer)\.", "an EG3D model"),
    (r"synthesis\.(input\.|L\d+_)", "a StyleGAN3 model"),
    (r"(GE?|GAN\.G)\.(initial_conv|initial_block|blocks)\b", "a lucidrains StyleGAN2 model"),
    (r"(progression|epilogue|epi)\.?\d*\b", "a StyleGAN1 model"),
    (r"g_(mapping|synthesis)\.", "a StyleGAN1 model"),
    (r"StyleMod|style_mod\b", "a StyleGAN1 model"),
)
_DISCRIMINATOR = re.compile(
    r"(final_linear\.\d|convs\.0\.0\.weight|b4\.(fc|out|mbstd)|final_conv\.0\.weight|fromrgb)"
)
# How many keys are looked at.
_SEEN = 4096
_ADVICE = "; choose the model that it was made with, then Load Latent"


def name_top_level(top: object) -> Refusal:
    """Return the refusal of a pickle that does not contain a StyleGAN2 generator.

    Args:
        top: The value of the pickle.
    """
    entries = entries_of(top)
    if is_tensor(top):
        return _latent(size_of(top))
    if isinstance(top, tuple | list) and top and is_tensor(top[0]):
        return _latent(size_of(top[0]))
    if entries is not None:
        return _name_entries(entries)
    return Refusal(
        ModelErrorKind.NOT_A_MODEL,
        "is a Python pickle, but not one of a StyleGAN2 training snapshot",
    )


def _latent(size: tuple[int, ...] | None) -> Refusal:
    shown = " x ".join(str(n) for n in (size or ())[:6] if type(n) is int and n < 1 << 32)
    shape = f" of {shown} values" if shown else ""
    return Refusal(
        ModelErrorKind.NOT_A_MODEL, f"is a saved latent or tensor{shape} and not a model{_ADVICE}"
    )


def _name_entries(entries: Mapping[object, object]) -> Refusal:
    keys = _all_keys(entries)
    if "GAN" in entries:
        return _lucidrains()
    for pattern, family in _KEYS:
        if any(re.search(rf"(^|\.){pattern}", key) for key in keys):
            if "lucidrains" in family:
                return _lucidrains()
            return unsupported(f"is {family}, another network than StyleGAN2")
    for key, value in list(entries.items())[:_SEEN]:
        if isinstance(key, str) and latent_name([key]) and is_tensor(value):
            return _latent(size_of(value))
        inner = entries_of(value) or {}
        if is_tensor(inner.get("latent")):
            return _latent(size_of(inner["latent"]))
    if any(_DISCRIMINATOR.search(key) for key in keys) or (
        entries.get("D") is not None and entries.get("G") is None
    ):
        return unsupported("holds a discriminator only, but the generator is needed")
    shown = ", ".join(printable(str(key), 20) for key in list(entries)[:4])
    return unsupported(
        f"is a dictionary ({shown or 'empty'}) without the generator G_ema of a StyleGAN2 training "
        "snapshot, and without the state dict of one"
    )


def _lucidrains() -> Refusal:
    return unsupported(
        "is a model of lucidrains' stylegan2-pytorch, whose layers compute something else than "
        "StyleGAN2's; it cannot be converted"
    )


def _all_keys(entries: Mapping[object, object]) -> list[str]:
    """Return the text keys of a dictionary and of the dictionaries in it."""
    keys: list[str] = []
    for key, value in list(entries.items())[:_SEEN]:
        inner = entries_of(value) or {}
        for name in [key, *list(inner)[:_SEEN]]:
            if isinstance(name, str) and len(keys) < 2 * _SEEN:
                keys.append(name[:200])
    return keys


def name_tensorflow(names: Collection[str]) -> Refusal:
    """Return the refusal of a network for TensorFlow, by the names of its variables."""
    if any("StyleMod" in name for name in names):
        return unsupported("is a StyleGAN1 model for TensorFlow, another network than StyleGAN2")
    if any("ToRGB_lod" in name for name in names):
        return unsupported(
            "is one of the experimental configurations A to D of StyleGAN2, which have no weight "
            "demodulation; only E and F are supported"
        )
    if any("FromRGB" in name for name in names):
        return unsupported("holds a discriminator only, but the generator is needed")
    return unsupported("is a network for TensorFlow, but not a StyleGAN2 generator")


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
    if "Discriminator" in class_name or "b4" in children:
        return unsupported("holds a discriminator where the generator should be")
    if "mapping" in children and "synthesis" in children:
        return damaged("has a synthesis network without the block b4 of StyleGAN2")
    return unsupported(
        f"holds the network {printable(class_name)}, which is not a StyleGAN2 generator"
    )
