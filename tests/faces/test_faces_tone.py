import cv2
import numpy as np
import pytest
import skimage.data
from face_photos import Photo
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import compose, crop, estimate
from jdsr_cli.faces.scene import thumbnail
from jdsr_cli.faces.tone import GRAY, as_luma, colourfulness, footage_colour, is_gray

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def scene() -> Picture:
    return np.ascontiguousarray(skimage.data.astronaut()[:288])


def grayed(picture: Picture) -> Picture:
    return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def infrared(picture: Picture, seed: int) -> Picture:
    """Gray with a slight tint, chroma noise and JPEG."""
    grain = np.random.default_rng(seed).normal(0, 15, picture.shape)
    tinted = grayed(picture) * np.array([1.0, 0.95, 1.07]) + np.array([4, 0, 6]) + grain
    levels = np.clip(np.rint(tinted), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, 40])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def test_gray_has_no_colour_and_a_photo_has(scene: Picture) -> None:
    assert colourfulness(grayed(scene)) == pytest.approx(0.0, abs=1e-6)
    assert not is_gray([colourfulness(scene)])
    assert is_gray([colourfulness(grayed(scene))])
    assert colourfulness(scene) == colourfulness(thumbnail(scene))


def test_infrared_is_gray(scene: Picture) -> None:
    assert is_gray([colourfulness(infrared(scene, seed)) for seed in range(3)])


def test_a_strong_tint_is_colour(scene: Picture) -> None:
    red = np.clip(grayed(scene) * np.array([1.0, 0.5, 0.4]) + 20, 0, 255).astype(np.uint8)
    assert not is_gray([colourfulness(red)])


def test_the_median_of_a_window_decides(scene: Picture) -> None:
    gray = grayed(scene)
    plain, coloured = colourfulness(gray), colourfulness(scene)
    assert is_gray([plain, coloured, plain])
    assert not is_gray([coloured, plain, coloured])


def test_gray_in_gray_out_to_the_last_step_of_the_chain(hopper_photo: Photo) -> None:
    base = grayed(hopper_photo.image)
    alignment = estimate(hopper_photo.points)
    restored = crop(hopper_photo.image, alignment)
    plain = as_luma(restored, crop(base, alignment))
    assert np.array_equal(plain, np.repeat(plain[..., :1], 3, axis=2))
    covered = np.zeros((128, 128), np.float32)
    covered[80:, 20:110] = 0.8
    image = compose(base.copy(), plain, covered, alignment.inverse(), 60.0).image
    assert not np.array_equal(image, base)
    assert np.array_equal(image, np.repeat(image[..., :1], 3, axis=2))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31))
def test_luma_stays_and_chroma_is_the_inputs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    restored = rng.integers(40, 210, (128, 128, 3), dtype=np.uint8)
    reference = (rng.integers(60, 190, (128, 128, 1)) + np.array([8, 0, -6])).astype(np.uint8)
    result = as_luma(restored, reference).astype(np.float64)
    weights = np.array([0.299, 0.587, 0.114])
    assert np.abs(result @ weights - restored @ weights).max() <= 1.1
    assert np.abs(result[..., 0] - result[..., 1] - 8.0).max() <= 1.0
    assert np.abs(result[..., 2] - result[..., 1] + 6.0).max() <= 1.0


def test_faces_of_two_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="colour"):
        as_luma(np.zeros((128, 128, 3), np.uint8), np.zeros((64, 64, 3), np.uint8))


def test_a_face_in_a_white_room_is_in_colour(hopper_photo: Photo) -> None:
    room = np.zeros((240, 420, 3), np.uint8)
    room[:] = np.linspace(150, 230, 420)[None, :, None]
    face = cv2.resize(hopper_photo.image[150:400, 140:390], (20, 20), interpolation=cv2.INTER_AREA)
    room[90:110, 200:220] = face
    box = (202.0, 92.0, 218.0, 110.0)
    assert colourfulness(room) < GRAY < footage_colour(room, [box])
    assert footage_colour(grayed(room), [box]) < 0.1
    beyond = (-40.0, -30.0, -10.0, -5.0)
    assert footage_colour(room, [beyond]) == colourfulness(room)
    assert footage_colour(room, []) == colourfulness(room)
