# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of drags: which part moves how, and where an artist would set handles and pins.

Vertices are those of Blender's monkey mesh at x >= 0; on the other side their mirror images are
used. The module needs only the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .parts import EAR_ROOT, EYE_CENTRE, MOUTH_CENTRE

# Landmarks of ``tools.suzanne.scene`` by their vertex at x >= 0.
EYE, NOSE, CHIN, EAR, CROWN = 60, 207, 216, 487, 301
_EAR_TOP, _EAR_RIM, _EAR_LOW = 397, 395, 391
_LID, _LOWER_LID, _EYE_OUTER, _EYE_INNER = 277, 263, 269, 259
_BROW, _BROW_INNER, _BROW_OUTER = 157, 159, 101
_MOUTH_CORNER, _UPPER_LIP = 167, 129
_CHEEK, _MUZZLE_SKIN, _BRIDGE = 145, 186, 176


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of drag.

    Attributes:
        name: Its name in tables and on the command line.
        part: What moves: a key of ``parts.PARTS``, ``around`` for the surroundings of the first
            handle, or empty where there is no truth.
        handles: The vertices that are pulled; ``outline`` and ``background`` choose a place of the
            picture instead.
        pins: Vertices that must stay, on the side of the part.
        other_pins: The same on the other side.
        both_sides: Whether each handle is also set on the other side.
        degrees: For a pull, its direction, counter-clockwise from up; it is mirrored for the side
            x < 0. Each drag varies it by up to ``spread`` degrees.
        spread: See ``degrees``.
        along: Two vertices whose direction in the picture is that of the pull, instead of
            ``degrees``.
        length_px: The length of a pull, px of 128; 0 if it is no pull.
        turn: Degrees by which the part is turned in the picture.
        scale: Factors by which the part is scaled along the axes of the head.
        centre: What a turn or a scale keeps in its place, in the mesh's coordinates.
        radius: For ``around``, in the mesh's coordinates.
        place: Where a handle without a vertex is.
        leaves: Whether the target is outside the image.
        mask: The shape that an artist would paint.
    """

    name: str
    part: str = ""
    handles: tuple[int, ...] = ()
    pins: tuple[int, ...] = ()
    other_pins: tuple[int, ...] = ()
    both_sides: bool = False
    degrees: float = 0.0
    spread: float = 20.0
    along: tuple[int, int] | None = None
    length_px: float = 0.0
    turn: float = 0.0
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    radius: float = 0.0
    place: Literal["vertex", "outline", "background"] = "vertex"
    leaves: bool = False
    mask: Literal["circle", "box"] = "circle"

    @property
    def has_truth(self) -> bool:
        """Whether there is a picture of what the artist wants."""
        return bool(self.part) and not self.leaves


def _sized(factor: float) -> tuple[float, float, float]:
    return (factor, factor, factor)


KINDS = (
    # One ear.
    Kind(name="ear up", part="ear", handles=(EAR,), length_px=12),
    Kind(name="ear out", part="ear", handles=(_EAR_RIM,), degrees=-80, length_px=9, mask="box"),
    Kind(
        name="ear turned",
        part="ear",
        handles=(_EAR_TOP, _EAR_RIM, _EAR_LOW),
        turn=-35,
        centre=EAR_ROOT,
    ),
    Kind(
        name="ear small",
        part="ear",
        handles=(_EAR_TOP, _EAR_RIM, _EAR_LOW),
        scale=_sized(0.6),
        centre=EAR_ROOT,
        mask="box",
    ),
    Kind(
        name="ear big, pins",
        part="ear",
        handles=(_EAR_TOP, _EAR_RIM, _EAR_LOW, EAR),
        pins=(EYE, NOSE, CHIN),
        other_pins=(EYE,),
        scale=_sized(1.5),
        centre=EAR_ROOT,
    ),
    # One eye.
    Kind(
        name="eye wide",
        part="eye",
        handles=(_LID, _LOWER_LID),
        scale=(1.0, 1.0, 2.0),
        centre=EYE_CENTRE,
    ),
    Kind(
        name="eye closed",
        part="eye",
        handles=(_LID, _LOWER_LID),
        scale=(1.0, 1.0, 0.05),
        centre=EYE_CENTRE,
    ),
    Kind(
        name="eye up, pin",
        part="eye",
        handles=(EYE,),
        other_pins=(EYE,),
        length_px=6,
        spread=60,
        mask="box",
    ),
    Kind(
        name="eye big",
        part="eye",
        handles=(_LID, _LOWER_LID, _EYE_OUTER, _EYE_INNER),
        scale=_sized(1.8),
        centre=EYE_CENTRE,
        mask="box",
    ),
    Kind(
        name="eye slanted",
        part="eye",
        handles=(_EYE_OUTER, _EYE_INNER),
        pins=(EYE,),
        turn=50,
        centre=EYE_CENTRE,
    ),
    # One brow.
    Kind(name="brow up", part="brow", handles=(_BROW,), length_px=6, mask="box"),
    Kind(
        name="brow up, pins",
        part="brow",
        handles=(_BROW,),
        pins=(EYE,),
        other_pins=(_BROW, EYE),
        length_px=7,
    ),
    Kind(
        name="brow angry",
        part="brow",
        handles=(_BROW_INNER, _BROW_OUTER),
        turn=45,
        centre=(0.32, -0.82, 0.63),
        mask="box",
    ),
    # Muzzle, nose and mouth.
    Kind(name="muzzle long", part="muzzle", handles=(CHIN,), along=(_BRIDGE, CHIN), length_px=10),
    Kind(name="nose aside", part="nose", handles=(NOSE,), degrees=-90, length_px=7, mask="box"),
    Kind(
        name="mouth wide",
        part="mouth",
        handles=(_MOUTH_CORNER,),
        both_sides=True,
        scale=(1.8, 1.0, 1.0),
        centre=MOUTH_CENTRE,
        mask="box",
    ),
    Kind(
        name="mouth open",
        part="jaw",
        handles=(CHIN,),
        pins=(_UPPER_LIP, NOSE),
        along=(_BRIDGE, CHIN),
        length_px=6,
    ),
    Kind(name="chin aside", part="muzzle", handles=(CHIN,), degrees=-90, length_px=8),
    Kind(name="crown up", part="skull", handles=(CROWN,), length_px=9, mask="box"),
    # Flat skin.
    Kind(name="cheek", part="cheek", handles=(_CHEEK,), degrees=-90, length_px=7),
    Kind(
        name="muzzle skin",
        part="around",
        handles=(_MUZZLE_SKIN,),
        degrees=-90,
        spread=90,
        length_px=6,
        radius=0.36,
    ),
    # Outlines.
    Kind(name="outline out", part="around", place="outline", spread=110, length_px=8, radius=0.5),
    Kind(
        name="outline in",
        part="around",
        place="outline",
        spread=110,
        length_px=-7,
        radius=0.5,
        mask="box",
    ),
    # Long pulls, onto the background and out of the picture; and the background itself.
    Kind(name="ear far", part="ear", handles=(EAR,), degrees=-20, length_px=28, mask="box"),
    Kind(name="nose far", part="nose", handles=(NOSE,), degrees=-90, spread=60, length_px=34),
    Kind(name="eye far", part="eye", handles=(EYE,), degrees=0, spread=30, length_px=22),
    Kind(name="chin far", part="muzzle", handles=(CHIN,), along=(_BRIDGE, CHIN), length_px=24),
    Kind(
        name="ear off image",
        part="ear",
        handles=(EAR,),
        degrees=-70,
        spread=20,
        leaves=True,
        mask="box",
    ),
    Kind(name="background", place="background", degrees=0, spread=180, length_px=14),
)
NAMES = tuple(kind.name for kind in KINDS)
