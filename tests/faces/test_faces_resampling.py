"""Squares cut out of a frame and reduced."""

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from jdsr_cli.faces.resampling import resample, rotation


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(astronaut()[:300, :400], (0, 0), 1.0), np.uint8)


@pytest.mark.parametrize(("left", "top", "step"), [(20, 30, 1.25), (0, 0, 2.5), (3, 11, 4.0)])
def test_an_upright_square_is_shrunk_as_by_pil(
    frame: np.ndarray, left: int, top: int, step: float
) -> None:
    side = round(64 * step)
    # The centre of the first pixel of the square, in pixel centres of the frame.
    matrix = np.array([[step, 0.0, left + step / 2 - 0.5], [0.0, step, top + step / 2 - 0.5]])
    box = (left, top, left + side, top + side)
    expected = Image.fromarray(frame).resize((64, 64), Image.Resampling.BICUBIC, box=box)
    inner = (slice(4, -4), slice(4, -4))  # PIL ends its kernel at the border of the picture.
    np.testing.assert_array_equal(resample(frame, matrix, 64)[inner], np.asarray(expected)[inner])


@pytest.mark.parametrize("step", [1.01, 1.7, 3.3, 9.0])
@pytest.mark.parametrize(
    "corner",
    [(40.3, 25.8), (-20.4, 60.0), (350.0, 280.7), (-500.0, 10.0), (90.0, 1e6), (-1e7, -1e7)],
)
def test_a_square_is_the_same_upright_and_turned_by_almost_nothing(
    frame: np.ndarray, step: float, corner: tuple[float, float]
) -> None:
    upright = np.column_stack([step * rotation(0.0), corner])
    turned = np.column_stack([step * rotation(1e-5), corner])
    one, other = (resample(frame, matrix, 48).astype(int) for matrix in (upright, turned))
    assert np.abs(one - other).mean() < 1.0
    assert np.abs(one - other).max() <= 16


def test_a_shrunk_square_beyond_the_border_repeats_it(frame: np.ndarray) -> None:
    below = np.array([[2.0, 0.0, 50.0], [0.0, 2.0, 5000.0]])
    cut = resample(frame, below, 32)
    assert (cut == cut[:1]).all()
    assert np.abs(cut[0, :, 0].astype(int) - frame[-1, 50:114:2, 0]).mean() < 6


@pytest.mark.parametrize("matrix", [(0.5, 0.0), (1.0, 0.0), (2.5, 0.0), (20.0, 0.0), (2.0, 0.3)])
def test_squares_can_be_drawn_on(frame: np.ndarray, matrix: tuple[float, float]) -> None:
    before = frame.copy()
    step, turn = matrix
    cut = resample(frame, np.array([[step, -turn, 5.0], [turn, step, 9.0]]), 16)
    cv2.circle(cut, (8, 8), 4, (255, 0, 0), -1)
    assert tuple(cut[8, 8]) == (255, 0, 0)
    np.testing.assert_array_equal(frame, before)


def test_mirrored_squares_stay_mirrored(frame: np.ndarray) -> None:
    upright = np.array([[1.5, 0.0, 30.0], [0.0, 1.5, 40.0]])
    mirrored = np.array([[-1.5, 0.0, 30.0 + 1.5 * 63], [0.0, 1.5, 40.0]])
    one, other = resample(frame, upright, 64), resample(frame, mirrored, 64)
    assert np.abs(one.astype(int) - other[:, ::-1]).mean() < 1.0
