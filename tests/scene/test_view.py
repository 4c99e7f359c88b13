# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in the plane's, the texture's and the image's space; masks and markers."""

from __future__ import annotations

import numpy as np
import pytest

from draggan_blender.scene import view

CORNERS = [(-2.0, -1.0), (2.0, -1.0), (2.0, 1.0), (-2.0, 1.0)]
FULL_UV = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]


@pytest.mark.parametrize(
    ("uv", "px"),
    [
        ((0.0, 1.0), (0.0, 0.0)),
        ((1.0, 0.0), (128.0, 64.0)),
        ((0.5, 0.5), (64.0, 32.0)),
        ((0.5 / 128, 1.0 - 0.5 / 64), (0.5, 0.5)),
    ],
    ids=["top left", "bottom right", "middle", "centre of the first pixel"],
)
def test_pixels_count_from_the_top_left_with_centres_at_halves(
    uv: tuple[float, float], px: tuple[float, float]
) -> None:
    np.testing.assert_allclose(view.uv_to_px([uv], 128, 64), [px], atol=1e-12)
    np.testing.assert_allclose(view.px_to_uv([px], 128, 64), [uv], atol=1e-12)


@pytest.mark.parametrize(
    "uv",
    [
        FULL_UV,
        [(1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)],
        [(0.25, 0.5), (0.5, 0.5), (0.5, 1.0), (0.25, 1.0)],
        [(1.0, 0.0), (0.0, 0.0), (0.0, 1.0), (1.0, 1.0)],
        [(0.0, 0.0), (1.0, 0.2), (1.3, 1.2), (0.3, 1.0)],
    ],
    ids=["full", "quarter turn", "cropped", "mirrored", "sheared"],
)
def test_any_flat_uv_map_is_found_exactly_and_can_be_inverted(
    uv: list[tuple[float, float]],
) -> None:
    found = view.fit_local_to_uv(CORNERS, uv)
    np.testing.assert_allclose(view.local_to_uv(found, CORNERS), uv, atol=1e-12)
    np.testing.assert_allclose(view.uv_to_local(found, uv), CORNERS, atol=1e-12)


def test_the_map_is_found_from_the_corners_of_a_subdivided_mesh() -> None:
    generator = np.random.default_rng(0)
    local = generator.uniform(-1, 1, (40, 2))
    found = view.fit_local_to_uv(local, local / 2 + 0.5)
    np.testing.assert_allclose(view.local_to_uv(found, [(0.0, 0.0)]), [(0.5, 0.5)], atol=1e-9)


@pytest.mark.parametrize(
    ("local", "uv", "says"),
    [
        ([(0, 0), (1, 0), (2, 0), (3, 0)], FULL_UV, "no area"),
        (CORNERS, [(0.5, 0.5)] * 4, "no area"),
        (CORNERS, [(0, 0), (1, 0), (0.4, 0.4), (0, 1)], "not flat"),
    ],
)
def test_a_map_that_is_not_flat_is_refused(
    local: list[tuple[float, float]], uv: list[tuple[float, float]], says: str
) -> None:
    with pytest.raises(view.ViewError, match=says):
        view.fit_local_to_uv(local, uv)


def test_points_must_be_rows_of_two() -> None:
    with pytest.raises(ValueError, match="N x 2"):
        view.uv_to_px([0.5, 0.5], 64, 64)


def test_the_border_belongs_to_the_image() -> None:
    points = [(0.0, 1.0), (1.00001, 0.5), (1.01, 0.5), (0.5, -0.01), (np.nan, 0.5)]
    assert view.inside(points).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((64, 64), (2.0, 2.0)), ((128, 64), (2.0, 1.0)), ((256, 1024), (0.5, 2.0))],
)
def test_a_plane_has_the_image_s_aspect(
    size: tuple[int, int], expected: tuple[float, float]
) -> None:
    assert view.plane_size(*size) == expected


def test_a_mask_is_flipped_and_resampled_by_nearest_pixels() -> None:
    painted = np.zeros((2, 4))
    painted[1, 0] = 1.0  # top left, as Blender's rows count from the bottom
    mask = np.frombuffer(view.mask_bytes(painted, 8, 4), dtype=np.uint8).reshape(4, 8)
    expected = np.zeros((4, 8), dtype=np.uint8)
    expected[:2, :2] = 255
    np.testing.assert_array_equal(mask, expected)


def test_a_grey_mask_keeps_its_levels_when_it_is_scaled_down() -> None:
    mask = np.frombuffer(view.mask_bytes(np.full((9, 9), 0.5), 3, 3), dtype=np.uint8)
    assert mask.tolist() == [128] * 9


def test_a_white_mask_is_the_same_as_no_mask() -> None:
    assert view.mask_bytes(np.ones((4, 4)), 64, 64) == b""
    with pytest.raises(ValueError, match="H x W"):
        view.mask_bytes(np.ones((4, 4, 4)), 64, 64)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_coordinates_that_are_no_numbers_are_refused(value: float, which: int) -> None:
    arrays = [np.array(CORNERS), np.array(FULL_UV)]
    arrays[which][2, 1] = value
    with pytest.raises(view.ViewError, match="that are not numbers"):
        view.fit_local_to_uv(*arrays)
