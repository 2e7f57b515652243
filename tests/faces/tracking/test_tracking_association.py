from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from jdsr_cli.faces.boxes import box_overlaps, box_sizes, centre_distances, enlarge_boxes
from jdsr_cli.faces.tracking.association import PredictedTracks, associate, reidentify

Numbers = NDArray[np.float64]


def boxes(*positions: tuple[float, float], width: float = 40.0) -> Numbers:
    return np.array([(x, y, x + width, y + 1.2 * width) for x, y in positions]).reshape(-1, 4)


def predicted(
    positions: Numbers,
    count: int,
    spread: float = 8.0,
    hidden: float = 0.0,
    similarity: Numbers | None = None,
    step: float = 0.04,
    difference: Numbers | None = None,
    last: Numbers | None = None,
) -> PredictedTracks:
    unknown = np.full((len(positions), count), np.nan)
    return PredictedTracks(
        positions,
        positions if last is None else last,
        np.full(len(positions), spread),
        np.full(len(positions), hidden),
        unknown if similarity is None else similarity,
        unknown if difference is None else difference,
        step,
    )


def test_overlaps_distances_and_sizes_of_boxes() -> None:
    some = np.array([[0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 5.0, 5.0]])
    others = np.array([[5.0, 0.0, 15.0, 10.0], [0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 5.0, 5.0]])
    np.testing.assert_allclose(box_overlaps(some, others), [[1 / 3, 1.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(enlarge_boxes(some, 0.5)[0], [-5, -5, 15, 15])
    np.testing.assert_allclose(centre_distances(some, others)[0], [5, 0, 0])
    np.testing.assert_allclose(box_sizes(some), [10, 1])


def test_tracks_are_associated_with_overlapping_detections() -> None:
    detections = boxes((205, 1), (3, -2), (400, 0))
    assert associate(predicted(boxes((0, 0), (200, 0)), 3), detections) == [(0, 1), (1, 0)]


def test_two_poor_pairs_do_not_displace_a_good_one() -> None:
    # Both tracks overlap a detection, but one detection clearly belongs to the first track.
    tracks, detections = boxes((0, 0), (18, 0)), boxes((1, 0), (-18, 0))
    assert associate(predicted(tracks, 2), detections)[0] == (0, 0)


def test_a_fast_small_face_is_associated_beyond_its_box_within_its_uncertainty() -> None:
    track = boxes((0, 0), width=20.0)
    near, far = boxes((24, 0), width=20.0), boxes((60, 0), width=20.0)
    assert associate(predicted(track, 1, spread=15.0), near) == [(0, 0)]
    assert associate(predicted(track, 1, spread=15.0), far) == []
    assert associate(predicted(track, 1, spread=2.0), near) == []
    assert associate(predicted(track, 1, spread=15.0, hidden=0.04), near) == []


@pytest.mark.parametrize(
    ("step", "distance", "matched"),
    [
        (0.5, 90.0, True), (0.5, 110.0, False), (0.25, 55.0, False), (0.3, 55.0, True),
        (0.04, 55.0, False), (1.0, 190.0, True), (2.0, 90.0, False),
    ],
)  # fmt: skip
def test_the_search_radius_grows_with_the_time_between_two_frames(
    step: float, distance: float, matched: bool
) -> None:
    track, found = boxes((0, 0), width=20.0), boxes((distance, 0), width=20.0)
    pairs = associate(predicted(track, 1, spread=80.0, step=step), found)
    assert pairs == ([(0, 0)] if matched else [])
    assert associate(predicted(track, 1, spread=80.0, hidden=step, step=step), found) == []
    assert associate(predicted(track, 1, spread=5.0, step=step), found) == []
    foreign = np.array([[-0.2]])
    assert associate(predicted(track, 1, 80.0, step=step, similarity=foreign), found) == []


def test_far_faces_are_not_associated_where_two_could_be_meant() -> None:
    tracks, found = boxes((0, 0), width=20.0), boxes((70, 0), (0, 75), width=20.0)
    assert associate(predicted(tracks, 2, spread=80.0, step=0.5), found) == []
    both = boxes((0, 0), (140, 0), width=20.0)
    assert associate(predicted(both, 1, spread=80.0, step=0.5), found[:1]) == []
    here = boxes((70, 0), (0, 4), width=20.0)
    assert associate(predicted(both, 2, spread=80.0, step=0.5), here) == [(0, 1), (1, 0)]


def test_a_face_of_another_size_is_another_person() -> None:
    track, detections = boxes((0, 0)), boxes((-20, -24), width=75.0)
    assert associate(predicted(track, 1, spread=30.0), detections) == []


def test_recently_detected_tracks_have_priority() -> None:
    tracks, detections = boxes((0, 0), (4, 0)), boxes((3, 0))
    both = predicted(tracks, 1)
    assert associate(both, detections) == [(1, 0)]
    hidden = replace(both, hidden=np.array([0.04, 0.3]))
    assert associate(hidden, detections) == [(0, 0)]


def test_appearance_prevents_associations_and_selects_between_overlaps() -> None:
    tracks, detections = boxes((0, 0), (6, 0)), boxes((2, 0), (5, 0))
    assert associate(predicted(tracks, 2), detections) == [(0, 0), (1, 1)]
    crossed = np.array([[0.2, 0.9], [0.9, 0.2]])
    assert associate(predicted(tracks, 2, similarity=crossed), detections) == [(0, 1), (1, 0)]
    foreign = np.array([[-0.1, np.nan], [np.nan, -0.1]])
    assert associate(predicted(tracks, 2, similarity=foreign), detections) == [(0, 1), (1, 0)]
    alone = np.array([[-0.1]])
    assert associate(predicted(tracks[:1], 1, similarity=alone), detections[:1]) == []


def test_people_are_reidentified_by_the_best_similarity_unless_ambiguous() -> None:
    similarity = np.array([[0.3, 0.8, np.nan], [0.7, 0.2, np.nan], [np.nan, np.nan, 0.9]])
    everybody = np.ones(3, np.bool_)
    assert reidentify(similarity, everybody) == [(0, 1), (1, 0), (2, 2)]
    assert reidentify(similarity, np.array([False, True, False])) == [(1, 0)]
    assert reidentify(np.array([[0.8], [0.75]]), np.array([True, False])) == []
    assert reidentify(np.array([[0.8], [0.6]]), np.array([True, False])) == [(0, 0)]
    assert reidentify(np.array([[0.5]]), everybody[:1]) == []
    assert reidentify(np.array([[np.nan]]), everybody[:1]) == []
    assert reidentify(np.zeros((0, 2)), everybody[:0]) == []


@given(st.integers(0, 7), st.integers(0, 7), st.integers(0, 1000))
def test_associations_are_one_to_one_and_repeatable(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracks = boxes(*[tuple(rng.uniform(0, 120, 2)) for _ in range(n)])
    detections = boxes(*[tuple(rng.uniform(0, 120, 2)) for _ in range(m)])
    pairs = associate(predicted(tracks, m, spread=20.0), detections)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert pairs == associate(predicted(tracks, m, spread=20.0), detections)


@pytest.mark.parametrize("difference", [0.17, 0.3, 0.9])
@pytest.mark.parametrize("distance", [0.0, 8.0, 30.0, 90.0])
def test_visibly_different_heads_are_never_associated(difference: float, distance: float) -> None:
    track, found = boxes((0, 0)), boxes((distance, 0))
    different = np.array([[difference]])
    assert associate(predicted(track, 1, 80.0, step=0.5), found) == [(0, 0)]
    assert associate(predicted(track, 1, 80.0, step=0.5, difference=different), found) == []


@pytest.mark.parametrize(
    ("distance", "difference", "matched"),
    [
        (0.0, 0.13, True), (8.0, 0.13, True), (18.0, 0.13, False), (30.0, 0.13, False),
        (18.0, 0.09, True), (30.0, 0.09, True), (75.0, 0.11, False),
    ],
)  # fmt: skip
def test_heads_must_be_alike_where_boxes_hardly_overlap_and_others_are_near(
    distance: float, difference: float, matched: bool
) -> None:
    track, found = boxes((0, 0)), boxes((distance, 0), (-150, 20))
    known = np.array([[difference, 0.4]])
    pairs = associate(predicted(track, 2, 80.0, step=0.5, difference=known), found)
    assert pairs == ([(0, 0)] if matched else [])
    alone = predicted(track, 1, 80.0, step=0.5, difference=known[:, :1])
    assert associate(alone, found[:1]) == [(0, 0)]


def test_heads_select_between_overlaps() -> None:
    tracks, found = boxes((0, 0), (6, 0)), boxes((2, 0), (5, 0))
    crossed = np.array([[0.09, 0.02], [0.02, 0.09]])
    assert associate(predicted(tracks, 2, step=0.5), found) == [(0, 0), (1, 1)]
    assert associate(predicted(tracks, 2, step=0.5, difference=crossed), found) == [(0, 1), (1, 0)]


def test_a_far_head_that_is_alike_is_associated_although_another_person_is_as_near() -> None:
    track, found = boxes((0, 0), width=20.0), boxes((70, 0), (0, 75), width=20.0)
    known = np.array([[0.04, 0.14]])
    assert associate(predicted(track, 2, 80.0, step=0.5, difference=known), found) == [(0, 0)]
    both = np.array([[0.04, 0.05]])
    assert associate(predicted(track, 2, 80.0, step=0.5, difference=both), found) == []


@pytest.mark.parametrize(("difference", "matched"), [(0.03, True), (0.07, True), (0.09, False)])
@pytest.mark.parametrize("distance", [60.0, 85.0, -80.0])
def test_a_far_head_must_be_alike_even_if_nobody_else_is_near(
    distance: float, difference: float, matched: bool
) -> None:
    track, found = boxes((0, 0), width=20.0), boxes((distance, 0), width=20.0)
    known = np.array([[difference]])
    pairs = associate(predicted(track, 1, 80.0, step=0.5, difference=known), found)
    assert pairs == ([(0, 0)] if matched else [])


@pytest.mark.parametrize("offset", [(30.0, 0.0), (0.0, 30.0), (-20.0, -25.0)])
def test_a_head_that_is_alike_near_its_last_box_is_found_again(
    offset: tuple[float, float],
) -> None:
    """The motion filter expects the face elsewhere, for instance because walkers go up and down."""
    elsewhere, found = boxes((300, 0)), boxes(offset)

    def pairs(difference: float, hidden: float = 0.0) -> list[tuple[int, int]]:
        known = np.array([[difference]])
        return associate(
            predicted(elsewhere, 1, hidden=hidden, difference=known, step=0.2, last=boxes((0, 0))),
            found,
        )

    assert pairs(0.05) == [(0, 0)]
    assert pairs(0.12) == pairs(np.nan) == pairs(0.05, hidden=0.2) == []
