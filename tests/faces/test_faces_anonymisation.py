"""Heads are replaced by one coarse mosaic, wherever they lie in the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jdsr_cli.faces.anonymisation import (
    BLOCKS,
    cover_head,
    head_square,
    hidden_share,
    join_boxes,
    make_mosaic,
)
from jdsr_cli.faces.head_appearance import MARGIN, SIDE, head_thumbnails

HEIGHT, WIDTH = 90, 120


def noise(seed: int, shape: tuple[int, ...] = (HEIGHT, WIDTH, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def mosaic(seed: int) -> np.ndarray:
    return make_mosaic(noise(seed, (SIDE, SIDE, 3)))


@settings(max_examples=40, deadline=None)
@given(
    left=st.floats(-200, 200), top=st.floats(-200, 200),
    width=st.floats(0, 400), height=st.floats(0, 300),
)  # fmt: skip
def test_nothing_of_the_picture_is_left_in_the_box_and_nothing_changes_outside(
    left: float, top: float, width: float, height: float
) -> None:
    box = (left, top, left + width, top + height)
    first, second = noise(1), noise(2)
    covered = [picture.copy() for picture in (first, second)]
    for picture in covered:
        cover_head(picture, box, mosaic(3))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    inside = (rows >= top) & (rows <= top + height) & (columns >= left) & (columns <= left + width)
    np.testing.assert_array_equal(covered[0][inside], covered[1][inside])
    near = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    if width >= 1 and height >= 1:
        np.testing.assert_array_equal(covered[0][~near], first[~near])


@pytest.mark.parametrize(
    "box", [(20.0, 15.0, 79.0, 74.0), (-30.0, -40.0, 50.0, 40.0), (70.0, 50.0, 170.0, 150.0)],
    ids=["inside", "upper corner", "lower corner"],
)  # fmt: skip
def test_what_is_drawn_is_the_mosaic_however_the_border_cuts_it(
    box: tuple[float, float, float, float],
) -> None:
    canvas = np.zeros((3 * HEIGHT, 3 * WIDTH, 3), np.uint8)
    blocks = mosaic(4)
    cover_head(canvas, (box[0] + WIDTH, box[1] + HEIGHT, box[2] + WIDTH, box[3] + HEIGHT), blocks)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    cover_head(picture, box, blocks)
    np.testing.assert_array_equal(picture, canvas[HEIGHT : 2 * HEIGHT, WIDTH : 2 * WIDTH])
    centres = (np.arange(BLOCKS) + 0.5) / BLOCKS
    x = np.rint(WIDTH + box[0] + centres * (box[2] - box[0])).astype(int)
    y = np.rint(HEIGHT + box[1] + centres * (box[3] - box[1])).astype(int)
    assert np.abs(canvas[np.ix_(y, x)].astype(int) - blocks).max() <= 8


def test_deep_pictures_get_the_same_mosaic() -> None:
    blocks, box = mosaic(5), (11.3, 8.2, 71.9, 66.1)
    picture, deep = noise(6), noise(6).astype(np.uint16) * 257
    cover_head(picture, box, blocks)
    cover_head(deep, box, blocks.astype(np.uint16) * 257)
    assert np.abs(deep / 257 - picture).max() <= 0.5


def test_a_kept_face_stays_except_where_another_face_is() -> None:
    picture = noise(7)
    before = picture.copy()
    kept, other = (60.0, 20.0, 90.0, 60.0), (40.0, 20.0, 70.0, 60.0)
    cover_head(picture, head_square(other), mosaic(8), [kept], [other])
    np.testing.assert_array_equal(picture[20:61, 71:91], before[20:61, 71:91])
    assert (picture[20:61, 40:71] != before[20:61, 40:71]).mean() > 0.9
    assert (picture[65:80, 60:90] != before[65:80, 60:90]).mean() > 0.9


@pytest.mark.parametrize("roll", [0, 35, 90, 180, 250])
def test_the_whole_head_is_covered_at_any_roll(roll: int) -> None:
    """A head is an ellipse, its face the lower part; box and crown as of an upright adult."""
    angle = np.radians(roll)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    around = np.linspace(0, 2 * np.pi, 200)
    face = np.stack([0.5 * np.cos(around), 0.62 * np.sin(around)], 1) @ turn.T
    head = np.stack([0.72 * np.cos(around), -0.18 + 0.85 * np.sin(around)], 1) @ turn.T
    low, high = face.min(0), face.max(0)
    left, top, right, bottom = head_square((low[0] * 50, low[1] * 50, high[0] * 50, high[1] * 50))
    assert (50 * head >= [left, top]).all()
    assert (50 * head <= [right, bottom]).all()


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
def test_a_mosaic_is_too_coarse_to_show_a_face(name: str, request: pytest.FixtureRequest) -> None:
    portrait = request.getfixturevalue(name)
    box = (38.0, 30.0, 78.0, 82.0)
    (thumbnail,) = head_thumbnails(portrait, [box])
    blocks = make_mosaic(thumbnail)
    assert BLOCKS / (1.0 + 2.0 * MARGIN) <= 6
    covered = portrait.copy()
    cover_head(covered, head_square(box), blocks)
    assert abs(fine_correlation(portrait[30:83, 38:79], covered[30:83, 38:79])) < 0.2
    assert fine_correlation(portrait[30:83, 38:79], portrait[30:83, 38:79]) > 0.99


def fine_correlation(some: np.ndarray, others: np.ndarray) -> float:
    """Return the correlation of two pictures without what is coarser than features of a face."""
    fine = []
    for one in (some, others):
        gray = one.astype(np.float32).mean(axis=2)
        fine.append((gray - cv2.GaussianBlur(gray, (0, 0), one.shape[1] / 20)).ravel())
    return float(np.corrcoef(fine[0] + 1e-6, fine[1])[0, 1])


def test_the_share_of_a_face_in_others_counts_overlaps_once() -> None:
    face = (0.0, 0.0, 32.0, 32.0)
    assert hidden_share(face, []) == 0.0
    assert hidden_share(face, [(16.0, -5.0, 50.0, 50.0)]) == 0.5
    assert hidden_share(face, [(16.0, -5.0, 50.0, 50.0)] * 3) == 0.5
    assert hidden_share(face, [(-1.0, -1.0, 16.0, 33.0), (15.0, -1.0, 40.0, 33.0)]) == 1.0


def test_boxes_are_joined_to_the_smallest_around_them() -> None:
    assert join_boxes([(1.0, 2.0, 3.0, 4.0)]) == (1.0, 2.0, 3.0, 4.0)
    assert join_boxes([(1.0, 2.0, 3.0, 4.0), (0.0, 3.0, 2.0, 9.0)]) == (0.0, 2.0, 3.0, 9.0)
