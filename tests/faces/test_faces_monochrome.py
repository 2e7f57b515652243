import cv2
import numpy as np
import pytest
import skimage.data
from face_photos import Photo
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.scene import (
    BECOMES,
    REMAINS,
    MonochromeClassifier,
    colourfulness,
    face_colourfulness,
    thumbnail,
)

Picture = NDArray[np.uint8]
TINTS = [(1, 1, 1), (0.25, 1, 0.3), (0.8, 0.35, 1), (1, 0.6, 0.2), (0.3, 0.5, 1), (1, 0.25, 0.3)]
BOX = (192.0, 72.0, 264.0, 178.0)
"""Box of the astronaut's face."""


@pytest.fixture(scope="module")
def scene() -> Picture:
    return np.ascontiguousarray(skimage.data.astronaut()[:288])


def grayed(picture: Picture) -> Picture:
    return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def tinted(picture: Picture, tint: tuple[float, ...], *, noise: float = 8.0) -> Picture:
    """Return the picture in monochrome of a tint, with chroma noise and JPEG artefacts."""
    grain = np.random.default_rng(5).normal(0, noise, picture.shape)
    levels = np.clip(np.rint(grayed(picture) * np.array(tint) + grain), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, 40])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def is_monochrome(picture: Picture, box: tuple[float, float, float, float] = BOX) -> bool:
    classifier = MonochromeClassifier(1)
    classifier.add_frame(colourfulness(picture))
    return classifier.classify(1, 0.0, face_colourfulness(picture, box))


def test_a_gray_picture_is_monochrome_and_a_photo_is_not(scene: Picture) -> None:
    assert colourfulness(grayed(scene)) == pytest.approx(0.0, abs=1e-6)
    assert not is_monochrome(scene)
    assert is_monochrome(grayed(scene))
    assert colourfulness(scene) == pytest.approx(colourfulness(thumbnail(scene)), abs=1e-9)


@pytest.mark.parametrize("tint", TINTS)
def test_monochrome_of_any_tint_is_detected(scene: Picture, tint: tuple[float, ...]) -> None:
    assert is_monochrome(tinted(scene, tint))


@pytest.mark.parametrize("light", [0.5, 0.25, 0.15])
def test_colour_is_detected_in_low_light(scene: Picture, light: float) -> None:
    assert not is_monochrome((scene * light).astype(np.uint8))
    assert is_monochrome((grayed(scene) * light).astype(np.uint8))


def test_a_coloured_light_is_not_monochrome(scene: Picture) -> None:
    cast = np.clip(scene * np.array([0.6, 1.0, 1.0]), 0, 255).astype(np.uint8)
    assert not is_monochrome(cast)


def test_a_face_in_a_white_room_is_in_colour(hopper_photo: Photo) -> None:
    room = np.zeros((240, 420, 3), np.uint8)
    room[:] = np.linspace(150, 230, 420)[None, :, None]
    face = cv2.resize(hopper_photo.image[150:400, 140:390], (60, 60), interpolation=cv2.INTER_AREA)
    room[90:150, 200:260] = face
    box = (206.0, 96.0, 252.0, 148.0)
    assert colourfulness(room) < BECOMES
    assert not is_monochrome(room, box)
    assert is_monochrome(grayed(room), box)
    assert face_colourfulness(room, (-40.0, -30.0, -10.0, -5.0)) == 0.0


def test_the_median_of_a_window_of_frames_decides() -> None:
    classifier = MonochromeClassifier(3)
    for colour in (1.0, 30.0, 1.0):
        classifier.add_frame(colour)
    assert classifier.classify(1, 0.0, 0.0)
    classifier.add_frame(30.0)
    assert not classifier.classify(1, 0.0, 0.0)


def test_a_track_keeps_its_class_between_the_two_thresholds() -> None:
    middle = (BECOMES + REMAINS) / 2
    for first, monochrome in ((BECOMES - 1.0, True), (REMAINS + 1.0, False)):
        classifier = MonochromeClassifier(1)
        classifier.add_frame(first)
        assert classifier.classify(1, 0.0, None) is monochrome
        for level in (middle - 0.5, middle + 0.5, middle - 0.9, middle + 0.9):
            classifier.add_frame(level)
            assert classifier.classify(1, 0.0, None) is monochrome


def test_tracks_are_independent_and_can_be_dropped() -> None:
    classifier = MonochromeClassifier(1)
    classifier.add_frame(0.0)
    assert classifier.classify(1, 0.0, 0.0)
    assert not classifier.classify(2, 0.0, 20.0)
    classifier.drop(2)
    assert classifier.classify(2, 0.0, 0.0)


@pytest.mark.parametrize("rate", [25, 60, 120])
def test_the_colour_of_a_face_is_followed_in_the_same_time_at_any_frame_rate(rate: int) -> None:
    classifier = MonochromeClassifier(1)
    classifier.add_frame(0.0)
    assert not classifier.classify(1, 0.0, 40.0)
    classes = [classifier.classify(1, n / rate, 0.0) for n in range(1, rate)]
    assert 0.25 < classes.index(True) / rate < 0.4


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(UsageError, match="window"):
        MonochromeClassifier(0)
