import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.scene import is_cut, thumbnail

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def portrait() -> Picture:
    return np.ascontiguousarray(skimage.data.astronaut()[:288])


@pytest.fixture(scope="module")
def still_life() -> Picture:
    return np.ascontiguousarray(skimage.data.coffee()[:, :512])


def lit(picture: Picture, gain: float, offset: float) -> Picture:
    return np.clip(picture * gain + offset, 0, 255).astype(np.uint8)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 255))
def test_thumbnails_have_one_size_and_keep_the_mean(height: int, width: int, level: int) -> None:
    small = thumbnail(np.full((height, width, 3), level, np.uint8))
    assert small.shape == (18, 32, 3)
    assert (small == level).all()


def test_a_cut_is_detected_in_both_directions(portrait: Picture, still_life: Picture) -> None:
    first, second = thumbnail(portrait), thumbnail(still_life)
    assert is_cut(first, second)
    assert is_cut(second, first)
    assert is_cut(first, thumbnail(np.ascontiguousarray(portrait[:, ::-1])))


def test_changes_of_light_and_noise_are_not_cuts(portrait: Picture) -> None:
    first = thumbnail(portrait)
    grain = np.random.default_rng(0).normal(0, 25, portrait.shape)
    for other in (
        portrait, lit(portrait, 0.4, 0), lit(portrait, 1.6, 0), lit(portrait, 0.7, 90),
        lit(portrait + grain, 1, 0),
        np.full_like(portrait, 255),
    ):  # fmt: skip
        assert not is_cut(first, thumbnail(other))
        assert not is_cut(thumbnail(other), first)


def test_a_person_walking_through_and_a_pan_are_not_cuts(portrait: Picture) -> None:
    first = thumbnail(portrait)
    walked = portrait.copy()
    cv2.rectangle(walked, (300, 60), (370, 287), (20, 30, 40), -1)
    panned = np.roll(portrait, 16, axis=1)
    assert not is_cut(first, thumbnail(walked))
    assert not is_cut(first, thumbnail(panned))


def test_from_black_into_a_scene_is_a_cut(portrait: Picture) -> None:
    black = thumbnail(np.zeros_like(portrait))
    assert is_cut(black, thumbnail(portrait))
    assert not is_cut(black, black)


def test_invalid_pictures_and_thumbnails_are_refused(portrait: Picture) -> None:
    with pytest.raises(UsageError, match="thumbnail"):
        thumbnail(portrait[..., 0])
    with pytest.raises(UsageError, match="thumbnails"):
        is_cut(portrait, portrait)
