# SPDX-License-Identifier: GPL-3.0-or-later
"""The factors of variation of a Suzanne picture, and what each of them means.

A picture is fully described by a vector ``u`` with one number in [-1, 1] for each factor. The box
of all ``u`` is convex and every factor is mapped to the scene smoothly, so that a W that is linear
in ``u`` is flat: a straight line between two latents is a plausible animation. For that reason a
colour is two chroma coordinates and not a hue angle: the middle of the box is a greyish monkey, and
the box has no hole.

The *coarse* factors (pose and shape) control the first six latents of W+, which are those that a
drag changes; the *fine* factors (light and colours) control the others. ``train`` enforces this.

The module needs only numpy: Blender's Python and torch's Python both import it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

COARSE_FACTORS = (
    "yaw",
    "pitch",
    "roll",
    "ear_size",
    "ear_lift",
    "muzzle_length",
    "muzzle_width",
    "jaw",
    "cranium",
    "eye_size",
    "eye_spacing",
)
FINE_FACTORS = (
    "light_azimuth",
    "light_elevation",
    "fur_a",
    "fur_b",
    "eye_a",
    "eye_b",
    "background_a",
    "background_b",
)
FACTORS = COARSE_FACTORS + FINE_FACTORS
NUM_COARSE = len(COARSE_FACTORS)

YAW_MAX_RAD = math.radians(50.0)
PITCH_MAX_RAD = math.radians(25.0)
ROLL_MAX_RAD = math.radians(15.0)
LIGHT_AZIMUTH_MAX_RAD = math.radians(60.0)
LIGHT_ELEVATION_RAD = (math.radians(5.0), math.radians(60.0))

# (lightness, largest chroma) in OKLab of each coloured part. With the largest chroma, nearly the
# whole square is inside the sRGB gamut; values outside are clipped.
FUR_COLOUR = (0.57, 0.11)
EYE_COLOUR = (0.85, 0.10)
BACKGROUND_COLOUR = (0.84, 0.08)

# B. Ottosson, "A perceptual color space for image processing" (2020): OKLab to linear sRGB.
_OKLAB_TO_LMS_CUBE_ROOT = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_LMS_TO_LINEAR_SRGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def sample_factors(seed: int, index: int) -> NDArray[np.float64]:
    """Return the factors of picture ``index`` of the set ``seed``.

    They depend only on the two numbers, so a set can be rendered in any order and in parts.

    Returns:
        ``F`` float64, uniform in [-1, 1], in the order of ``FACTORS``.
    """
    return np.random.default_rng((seed, index)).uniform(-1.0, 1.0, len(FACTORS))


def linear_rgb(colour: tuple[float, float], a: float, b: float) -> tuple[float, float, float]:
    """Return the linear sRGB values, each in [0, 1], of a colour.

    Args:
        colour: Lightness and largest chroma in OKLab.
        a: Chroma from green (-1) to red (1), as a share of the largest.
        b: Chroma from blue (-1) to yellow (1), as a share of the largest.
    """
    lightness, chroma = colour
    lms = (_OKLAB_TO_LMS_CUBE_ROOT @ np.array([lightness, chroma * a, chroma * b])) ** 3
    red, green, blue = np.clip(_LMS_TO_LINEAR_SRGB @ lms, 0.0, 1.0)
    return float(red), float(green), float(blue)
