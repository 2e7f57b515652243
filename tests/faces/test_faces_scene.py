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
def room() -> Picture:
    return np.ascontiguousarray(skimage.data.astronaut()[:288])


@pytest.fixture(scope="module")
def street() -> Picture:
    return np.ascontiguousarray(skimage.data.coffee()[:, :512])


def lit(picture: Picture, gain: float, offset: float) -> Picture:
    return np.clip(picture * gain + offset, 0, 255).astype(np.uint8)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 255))
def test_thumbnails_have_one_size_and_keep_the_mean(height: int, width: int, level: int) -> None:
    small = thumbnail(np.full((height, width, 3), level, np.uint8))
    assert small.shape == (18, 32, 3)
    assert (small == level).all()


def test_a_cut_is_seen_both_ways(room: Picture, street: Picture) -> None:
    here, there = thumbnail(room), thumbnail(street)
    assert is_cut(here, there)
    assert is_cut(there, here)
    assert is_cut(here, thumbnail(np.ascontiguousarray(room[:, ::-1])))


def test_light_and_noise_are_no_cut(room: Picture) -> None:
    here = thumbnail(room)
    grain = np.random.default_rng(0).normal(0, 25, room.shape)
    for other in (
        room, lit(room, 0.4, 0), lit(room, 1.6, 0), lit(room, 0.7, 90), lit(room + grain, 1, 0),
        np.full_like(room, 255),
    ):  # fmt: skip
        assert not is_cut(here, thumbnail(other))
        assert not is_cut(thumbnail(other), here)


def test_a_person_walking_through_and_a_pan_are_no_cut(room: Picture) -> None:
    here = thumbnail(room)
    walked = room.copy()
    cv2.rectangle(walked, (300, 60), (370, 287), (20, 30, 40), -1)
    panned = np.roll(room, 16, axis=1)
    assert not is_cut(here, thumbnail(walked))
    assert not is_cut(here, thumbnail(panned))


def test_from_black_into_a_scene_is_a_cut(room: Picture) -> None:
    black = thumbnail(np.zeros_like(room))
    assert is_cut(black, thumbnail(room))
    assert not is_cut(black, black)


def test_only_pictures_and_thumbnails_are_taken(room: Picture) -> None:
    with pytest.raises(UsageError, match="thumbnail"):
        thumbnail(room[..., 0])
    with pytest.raises(UsageError, match="thumbnails"):
        is_cut(room, room)
