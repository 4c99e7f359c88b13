# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.features.full_map import cut_windows
from engine.features.source import FeatureGrid
from engine.solving.points import PointChange
from engine.solving.regions import make_regions, ring_offsets, turn_of, turned
from engine.solving.supervision import disc_offsets
from engine.solving.tracking import PointTracker, square_offsets

from ..synthetic import Waves, paths_of

SIZE = 40
GRID = FeatureGrid((SIZE, SIZE), (SIZE, SIZE))


def _tracker(
    features: torch.Tensor, handles: torch.Tensor, r2: float = 3.0, radius: float = 0.0
) -> PointTracker:
    patch = disc_offsets(radius)
    references = cut_windows(features, handles, 6).sample(handles[:, None] + patch)
    return PointTracker(references, GRID, r2, patch=patch)


def _track(tracker: PointTracker, features: torch.Tensor, handles: torch.Tensor) -> torch.Tensor:
    return tracker.track(cut_windows(features, handles, 9), handles)


def test_the_search_square_is_closed_and_begins_at_its_centre() -> None:
    offsets = square_offsets(2.0, 0.5)
    assert len(offsets) == 81
    assert offsets[0].tolist() == [0, 0]
    assert offsets.min().item() == -2 and offsets.max().item() == 2


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.83])
def test_with_unchanged_features_a_handle_stays_where_it_is(fraction: float) -> None:
    features = Waves().map(SIZE, SIZE, torch.zeros(2))
    handles = torch.tensor([[12.0, 20.0], [30.0, 8.0]]) + fraction
    tracker = _tracker(features, handles)
    found = handles
    for _ in range(20):
        found = _track(tracker, features, found)
    assert torch.equal(found, handles)


@pytest.mark.parametrize("radius", [0.0, 3.0])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("shift", [(0.37, -0.81), (-1.5, 0.5), (2.62, 2.1), (0.05, 0.0)])
def test_translated_features_are_followed_below_a_tenth_of_a_pixel(
    fraction: float, shift: tuple[float, float], radius: float
) -> None:
    waves = Waves()
    handles = torch.tensor([[12.0, 20.0], [25.0, 9.0], [18.0, 30.0]]) + fraction
    tracker = _tracker(waves.map(SIZE, SIZE, torch.zeros(2)), handles, radius=radius)
    moved = waves.map(SIZE, SIZE, torch.tensor(shift))
    found = _track(tracker, moved, handles)
    assert (found - handles - torch.tensor(shift)).abs().max().item() < 0.1


def test_errors_do_not_add_up_over_a_long_way() -> None:
    waves = Waves()
    handles = torch.tensor([[8.5, 9.25]])
    tracker = _tracker(waves.map(SIZE, SIZE, torch.zeros(2)), handles)
    found = handles
    for step in range(1, 41):
        shift = torch.tensor([0.43, 0.31]) * step
        found = _track(tracker, waves.map(SIZE, SIZE, shift), found)
    assert (found - handles - shift).abs().max().item() < 0.1


def test_a_handle_is_found_on_the_edge_of_its_window_and_never_beyond() -> None:
    waves = Waves()
    handles = torch.tensor([[12.0, 20.0]])
    tracker = _tracker(waves.map(SIZE, SIZE, torch.zeros(2)), handles, r2=2.0)
    on_edge = _track(tracker, waves.map(SIZE, SIZE, torch.tensor([2.0, -2.0])), handles)
    assert (on_edge - handles).tolist()[0] == pytest.approx([2.0, -2.0], abs=0.05)
    beyond = _track(tracker, waves.map(SIZE, SIZE, torch.tensor([9.0, 0.0])), handles)
    assert (beyond - handles).abs().max().item() <= 2.0


def test_a_handle_on_a_flat_place_does_not_wander() -> None:
    flat = torch.ones(4, SIZE, SIZE)
    handles = torch.tensor([[12.3, 20.7]])
    assert torch.equal(_track(_tracker(flat, handles), flat, handles), handles)


@pytest.mark.parametrize("radius", [0.0, 3.0])
def test_a_handle_near_the_border_stays_on_the_map(radius: float) -> None:
    waves = Waves()
    handles = torch.tensor([[0.4, 38.0]])
    tracker = _tracker(waves.map(SIZE, SIZE, torch.zeros(2)), handles, radius=radius)
    found = _track(tracker, waves.map(SIZE, SIZE, torch.tensor([-2.5, 3.0])), handles)
    assert -0.5 <= found[0, 0].item() <= SIZE - 0.5
    assert -0.5 <= found[0, 1].item() <= SIZE - 0.5


def test_a_search_window_below_a_pixel_works() -> None:
    waves = Waves()
    handles = torch.tensor([[12.0, 20.0]])
    tracker = _tracker(waves.map(SIZE, SIZE, torch.zeros(2)), handles, r2=0.5)
    found = _track(tracker, waves.map(SIZE, SIZE, torch.tensor([0.3, -0.2])), handles)
    assert (found - handles).tolist()[0] == pytest.approx([0.3, -0.2], abs=0.1)


def test_of_places_that_look_alike_the_one_with_the_same_surroundings_is_found() -> None:
    handles = torch.tensor([[12.0, 20.0]])
    features = torch.zeros(2, SIZE, SIZE)
    features[0, 20, 12] = features[1, 22, 12] = 1
    moved = torch.zeros(2, SIZE, SIZE)
    moved[0, 20, 13] = 1  # near, without the surroundings
    moved[0, 20, 15] = moved[1, 22, 15] = 1  # what was at the handle
    for radius, expected_x in ((0.0, 13.0), (2.0, 15.0)):
        found = _track(_tracker(features, handles, radius=radius), moved, handles)
        assert found.tolist() == [[expected_x, 20.0]]


@pytest.mark.parametrize(("renewal", "expected_x"), [(0.0, 14.0), (1.0, 12.0)])
def test_renewed_references_follow_what_changes_slowly(renewal: float, expected_x: float) -> None:
    handles = torch.tensor([[12.0, 20.0]])
    old, new = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    features = torch.zeros(2, SIZE, SIZE)
    tracker = PointTracker(old[None, None], GRID, 3.0, renewal=renewal)
    # The content at the handle gradually changes into something else; then the old content appears
    # two pixels to the right.
    for share in torch.linspace(0, 1, 60):
        features[:, 20, 12] = torch.lerp(old, new, share)
        _track(tracker, features, handles)
    features[:, 20, 14] = old
    assert _track(tracker, features, handles).tolist() == [[expected_x, 20.0]]


def test_a_reference_is_renewed_with_what_was_found_and_not_with_what_the_handle_was_on() -> None:
    waves = Waves()
    handles = torch.tensor([[12.0, 20.0]])
    patch = disc_offsets(2.0)
    features = waves.map(SIZE, SIZE, torch.zeros(2))
    references = cut_windows(features, handles, 6).sample(handles[:, None] + patch)
    tracker = PointTracker(references, GRID, 3.0, patch=patch, renewal=1.0)
    shift = torch.tensor([2.25, -1.5])
    moved = waves.map(SIZE, SIZE, shift)
    found = _track(tracker, moved, handles)
    # In the same image, the second search finds the same position, wherever it begins.
    assert torch.allclose(_track(tracker, moved, handles + 0.5), found, atol=0.06)
    assert (found - handles - shift).abs().max().item() < 0.1


def _two_places(near: float, far: float) -> torch.Tensor:
    """Return ones, except ``near`` at the expected position and ``far`` 2 px to the right of it.

    A value is its distance from a reference of zero.
    """
    features = torch.ones(1, SIZE, SIZE)
    features[0, 20, 20], features[0, 20, 22] = near, far
    return features


@pytest.mark.parametrize(("far", "moves"), [(0.25, False), (0.15, True)])
def test_with_inertia_another_place_has_to_match_so_much_better(far: float, moves: bool) -> None:
    handles = torch.tensor([[20.0, 20.0]])
    references = torch.zeros(1, 1, 1)
    # At r2 the cost is doubled: 0.4 at the expected position against twice that of the other.
    tracker = PointTracker(references, GRID, 2.0, inertia=1.0)
    found = _track(tracker, _two_places(0.4, far), handles)
    assert torch.equal(found, torch.tensor([[22.0, 20.0]]) if moves else handles)
    # Without inertia the better match wins.
    found = _track(PointTracker(references, GRID, 2.0), _two_places(0.4, far), handles)
    assert found[0, 0] > 21


def test_memory_weighs_the_start_against_what_was_there_last() -> None:
    handles = torch.tensor([[20.0, 20.0]])
    for memory, expected in ((0.0, 20.0), (2.0, 22.0)):
        tracker = PointTracker(torch.zeros(1, 1, 1), GRID, 2.0, renewal=1.0, memory=memory)
        looks_changed = torch.full((1, SIZE, SIZE), 0.5)
        assert torch.equal(_track(tracker, looks_changed, handles), handles)
        assert tracker.references.item() == 0.5
        # The features of the last step are at the expected position, those of the start next to it.
        assert _track(tracker, _two_places(0.5, 0.0), handles)[0, 0].item() == expected


def test_the_features_of_a_new_point_of_a_turned_region_are_read_as_the_region_is_turned() -> None:
    """A region that is turned already gets other points when its radius is changed."""
    features = Waves().map(SIZE, SIZE, torch.zeros(2))
    turn = torch.from_numpy(turn_of(np.array([0.8]), np.array([1.0])))
    ring = torch.from_numpy(ring_offsets(6.0))
    offsets = turned(ring, turn * torch.tensor([[1.0, -1.0]]))[0]
    owner = torch.zeros(len(ring), dtype=torch.int64)
    centre = torch.full((1, 2), SIZE / 2)
    wanted = torch.cat([centre, turn], dim=1)
    seen = torch.eye(2).repeat(len(ring), 1, 1)
    regions = make_regions(owner, offsets, seen, torch.tensor([6.0]), wanted)
    handles = centre + ring
    tracker = _tracker(features, centre, radius=2.0)
    change = PointChange(
        kept=torch.full((len(ring),), -1),
        handles=handles,
        targets=handles,
        is_same=False,
        paths=paths_of(handles, handles),
        regions=regions,
    )
    windows = cut_windows(features, handles, 9)
    tracker.replace(change, windows, handles)
    patch = turned(disc_offsets(2.0), turn)
    expected = windows.sample(handles[:, None] + patch)
    torch.testing.assert_close(tracker.references, expected, atol=1e-4, rtol=1e-4)
