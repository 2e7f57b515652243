"""The alignment of FFHQ: where the landmarks lie, and the way there and back."""

import numpy as np
import pytest
from numpy.typing import NDArray

from jdsr_cli.faces.alignment import TEMPLATE
from jdsr_cli.faces.ffhq import FFHQ_TEMPLATE, into_ffhq, out_of_ffhq, to_ffhq


def dot(side: int, x: float, y: float) -> NDArray[np.uint8]:
    """Return a white spot on black, centred at a point of a picture of 128 pixels."""
    factor = side / 128
    grid = np.mgrid[:side, :side]
    far = (grid[0] - (factor * (y + 0.5) - 0.5)) ** 2 + (grid[1] - (factor * (x + 0.5) - 0.5)) ** 2
    level = 255 * np.exp(-far / (2 * (3 * factor) ** 2))
    return np.repeat(level[..., None], 3, axis=2).astype(np.uint8)


def centre(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return x and y of the centroid of a picture."""
    level = picture[..., 0].astype(np.float64)
    y, x = np.mgrid[: len(level), : len(level)]
    return np.array([(level * x).sum(), (level * y).sum()]) / level.sum()


@pytest.mark.parametrize("side", [32, 64, 128])
@pytest.mark.parametrize("size", [256, 512])
def test_landmarks_of_the_template_come_to_lie_on_those_of_ffhq(side: int, size: int) -> None:
    for point, expected in zip(TEMPLATE, FFHQ_TEMPLATE, strict=True):
        found = centre(into_ffhq(dot(side, *point), size))
        expected_here = (expected + 0.5) * size / 512 - 0.5
        # The templates differ by more than a similarity: up to 6 of 512 pixels.
        assert np.abs(found - expected_here).max() < 7 * size / 512


def test_the_similarity_is_the_best_fit_of_the_landmarks() -> None:
    def error(matrix: NDArray[np.float64]) -> float:
        return float(((TEMPLATE @ matrix[:, :2].T + matrix[:, 2] - FFHQ_TEMPLATE) ** 2).sum())

    fitted = to_ffhq()
    assert fitted[0, 0] == pytest.approx(fitted[1, 1])
    assert fitted[0, 1] == pytest.approx(-fitted[1, 0])
    for step in np.eye(4) * 1e-3:
        turn, slope, right, down = step
        change = np.array([[turn, -slope, right], [slope, turn, down]])
        assert error(fitted + change) > error(fitted)
        assert error(fitted - change) > error(fitted)


@pytest.mark.parametrize("size", [256, 512])
def test_a_face_comes_back_to_its_place_without_a_border(size: int) -> None:
    for x, y in ((12.0, 9.0), (70.0, 60.0), (118.0, 120.0)):
        back = out_of_ffhq(into_ffhq(dot(128, x, y), size))
        assert np.abs(centre(back) - [x, y]).max() < 0.05
    bright = out_of_ffhq(into_ffhq(np.full((64, 64, 3), 250, np.uint8), size))
    assert bright.shape == (128, 128, 3)
    assert (bright == 250).all()


def test_fine_stripes_become_gray_and_no_false_pattern() -> None:
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(out_of_ffhq(stripes).astype(float) - 127.5).max() < 8
