# SPDX-License-Identifier: GPL-3.0-or-later
"""Which image a pair belongs to: the seed, picture or saved latent that it was dragged on last.

When another one is shown, its handle marks another thing there. So the pair is switched off, and
the panel says so; it is on again when its own image comes back. A pair that was not dragged yet was
put there for what comes, and stays on. So does a pin, which pulls at nothing. The mouse passes over
the points of a pair that is off: faces are at the same place in most images, and so are handles.
"""

from __future__ import annotations

from ..properties.owners import Plane
from ..properties.pair import DRAGGAN_PG_pair

# The image of files of earlier versions, which do not say what theirs are made from.
_UNKNOWN = "unknown"


def of_seed(seed: int, label: int, model_sha256: str) -> str:
    """Return the key of the image of a seed; it is the same at each truncation."""
    return f"seed {seed} {label} {model_sha256}"


def of_picture(name: str) -> str:
    """Return the key of the image of a person's own picture, given the name of the picture."""
    return f"picture {name}"


def of_latent(sha256: str) -> str:
    """Return the key of the image of a saved latent."""
    return f"latent {sha256}"


def note_dragged(plane: Plane) -> None:
    """Note that the pairs that a drag has used belong to the image; pins belong to none."""
    for pair in plane.draggan.pairs:
        if pair.slot >= 0 and not pair.is_pin:
            pair.image_key = plane.draggan.image_key or _UNKNOWN


def change(plane: Plane, key: str) -> None:
    """Switch pairs off that belong to another image, and those on that belong to this one.

    Args:
        plane: A GAN image that shows an image that no edit has made.
        key: The key of that image.
    """
    settings = plane.draggan
    settings.image_key = key
    for pair in settings.pairs:
        if pair.is_left and pair.image_key == key:
            pair.enabled = True
            pair.image_key = key
        elif pair.enabled and pair.image_key not in ("", key) and not settings.keep_pairs:
            leave(pair)


def leave(pair: DRAGGAN_PG_pair) -> None:
    """Switch a pair off if it is on, because it belongs to another image than the one shown."""
    if pair.enabled:
        pair.enabled, pair.is_left = False, True


def is_left(pair: DRAGGAN_PG_pair) -> bool:
    """Return whether a pair is off because it belongs to another image."""
    return bool(pair.is_left and not pair.enabled)


def left(plane: Plane) -> list[DRAGGAN_PG_pair]:
    """Return the pairs that are off because they belong to another image."""
    pairs = plane.draggan.pairs
    return [pair for pair in pairs if is_left(pair) and not pair.rests]


def use(plane: Plane) -> None:
    """Switch the pairs on that belong to another image; they belong to none from then on."""
    for pair in left(plane):
        pair.enabled = True
    plane.update_tag()
