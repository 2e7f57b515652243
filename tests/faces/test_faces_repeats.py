"""Repeats of a crop: mapped back, they agree where the restoration does not depend on them."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.repeats import (
    MIN_NOISE,
    REPEATS,
    agree,
    native_noise,
    noise_level,
    repeated,
    smoothed_luma,
)

Picture = NDArray[np.uint8]
INNER = slice(4, -4)


def smooth_picture(seed: int, side: int = 128) -> Picture:
    """A picture without detail finer than a few pixels."""
    small = np.random.default_rng(seed).integers(40, 215, (side // 16, side // 16, 3))
    picture = cv2.resize(small.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.rint(picture).clip(0, 255), np.uint8)


def maps(value: float = 0.0) -> list[NDArray[np.float32]]:
    return [np.full((128, 128), value, np.float32) for _ in REPEATS]


def test_the_first_repeat_is_the_crop_itself() -> None:
    crop = smooth_picture(0)
    assert (repeated(crop, 128.0)[0] == crop).all()
    assert (repeated(crop, 128.0)[1] == crop[:, ::-1]).all()
    assert len({one.tobytes() for one in repeated(crop, 60.0)}) == len(REPEATS)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000))
def test_an_equivariant_restoration_has_almost_no_spread(seed: int) -> None:
    # The identity is equivariant. What is left is the added noise and the rounding to 8 bits.
    crop = smooth_picture(seed)
    agreement = agree(repeated(crop, 128.0), maps(), 128)
    inner = agreement.spread[INNER, INNER]
    assert inner.mean() < 0.5
    assert inner.max() < 3.0
    assert np.abs(agreement.image.astype(int) - crop)[INNER, INNER].max() <= 3
    assert not agreement.occlusion.any()


def test_a_constant_restoration_has_no_spread_at_all() -> None:
    images = [np.full((128, 128, 3), 90, np.uint8) for _ in REPEATS]
    agreement = agree(images, maps(1.0), 128)
    assert (agreement.spread < 1e-4).all()  # rounding of the mean in float32
    assert (agreement.image == 90).all()
    assert (agreement.occlusion == 1.0).all()


@pytest.mark.parametrize("row", range(0, 128, 37))
def test_a_restoration_that_adds_something_on_one_side_has_spread_on_both(row: int) -> None:
    images = [one.copy() for one in repeated(np.full((128, 128, 3), 100, np.uint8), 128.0)]
    for one in images:
        one[row : row + 12, 20:40] = 200  # always on the left of what the network received
    spread = agree(images, maps(), 128).spread
    assert spread[row + 4 : row + 8, 25:35].min() > 20.0
    assert spread[row + 4 : row + 8, 93:103].min() > 20.0
    assert spread[row + 4 : row + 8, 55:75].max() < 5.0


@pytest.mark.parametrize("side", [32, 64, 128])
def test_shifts_are_undone_at_the_scale_of_the_template(side: int) -> None:
    crop = smooth_picture(5, side)
    enlarged = [
        np.asarray(cv2.resize(one, (128, 128), interpolation=cv2.INTER_CUBIC), np.uint8)
        for one in repeated(crop, float(side))
    ]
    agreement = agree(enlarged, maps(), side)
    error = smoothed_luma(agreement.image) - smoothed_luma(enlarged[0])
    assert np.abs(error[8:-8, 8:-8]).max() < 3.0
    # Undone at another scale, the shifts would remain.
    if side < 128:
        assert agree(enlarged, maps(), 128).spread.mean() > 2 * agreement.spread.mean()


def test_the_same_crop_gives_the_same_repeats() -> None:
    crop = smooth_picture(8)
    first, second = repeated(crop, 30.0), repeated(crop.copy(order="F"), 30.0)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    other = crop.copy()
    other[0, 0] ^= 1
    noise = [
        one.astype(int) - whole for one, whole in zip(first[6:], [crop, crop[:, ::-1]], strict=True)
    ]
    others = [
        one.astype(int) - whole
        for one, whole in zip(repeated(other, 30.0)[6:], [other, other[:, ::-1]], strict=True)
    ]
    assert (noise[0] != others[0]).mean() > 0.1


@pytest.mark.parametrize("sigma", [2.0, 6.0, 12.0, 25.0])
def test_the_noise_of_a_picture_is_measured(sigma: float) -> None:
    rng = np.random.default_rng(int(sigma))
    picture = smooth_picture(2).astype(np.float32) * 0.6 + 50
    noise = rng.normal(0, sigma, (128, 128, 1))
    noisy = np.asarray(np.rint(picture + noise).clip(0, 255), np.uint8)
    assert noise_level(noisy) == pytest.approx(sigma, rel=0.15)
    assert native_noise(noisy, 500.0) == noise_level(noisy)


@pytest.mark.parametrize(("width", "side"), [(32.0, 128), (64.0, 128), (48.0, 96)])
def test_noise_is_measured_as_it_was_filmed(width: float, side: int) -> None:
    filmed = np.random.default_rng(4).normal(120, 8, (int(width), int(width), 1))
    filmed = np.repeat(filmed, 3, axis=2).astype(np.float32)
    crop = np.rint(cv2.resize(filmed, (side, side), interpolation=cv2.INTER_CUBIC)).astype(np.uint8)
    assert native_noise(crop, width) == pytest.approx(8, rel=0.25)
    assert noise_level(crop) < 4.0


@pytest.mark.parametrize("sigma", [0.0, 5.0, 15.0])
def test_noise_of_the_measured_level_is_added(sigma: float) -> None:
    rng = np.random.default_rng(1)
    crop = np.rint(120 + rng.normal(0, sigma, (128, 128, 1)).repeat(3, axis=2)).astype(np.uint8)
    added = repeated(crop, 128.0)[6].astype(float) - crop
    assert added.std() == pytest.approx(np.hypot(max(sigma, MIN_NOISE), 0.29), rel=0.2)
    assert (added == added[..., :1]).all()


@pytest.mark.parametrize("shape", [(128, 128), (128, 100, 3), (0, 0, 3), (4, 4, 3), (128, 128, 4)])
def test_other_arrays_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="square RGB crop"):
        repeated(np.zeros(shape, np.uint8), 40.0)


def test_a_picture_without_neighbours_has_no_noise_level() -> None:
    with pytest.raises(UsageError, match="at least 3 x 3"):
        noise_level(np.zeros((2, 9, 3), np.uint8))
