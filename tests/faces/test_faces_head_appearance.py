from collections.abc import Callable
from itertools import combinations

import cv2
import numpy as np
import pytest
from drawn_scenes import WIDTH, background, draw_person, exposed, infrared, view
from face_photos import Photo
from numpy.typing import NDArray

from jdsr_cli.faces.head_appearance import SIDE, head_differences, head_thumbnails
from jdsr_cli.faces.tracking.association import ALIKE, UNLIKE

Picture = NDArray[np.uint8]
Box = tuple[float, float, float, float]


def box_of(photo: Photo, width: float) -> Box:
    """Return the box of a face in a square picture of a width made of a photograph."""
    scale = width / photo.image.shape[1]
    (x, y), side = scale * photo.points.mean(axis=0), scale * photo.width
    return x - side / 2, y - 0.6 * side, x + side / 2, y + 0.6 * side


def shown(photo: Photo, width: int = 120) -> Picture:
    """Return the photograph in a square picture of a width."""
    small = cv2.resize(photo.image, (width, width), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def difference(a: Picture, b: Picture, box: Box, other: Box | None = None) -> float:
    heads = head_differences(head_thumbnails(a, [box]), head_thumbnails(b, [other or box]))
    return float(heads[0, 0])


def gray(picture: Picture) -> Picture:
    return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def compressed(picture: Picture) -> Picture:
    stored = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])[1]
    return np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)


def covered(picture: Picture, share: float, side: str, level: int) -> Picture:
    """Return a picture of which a share of the left, right or lower part is covered."""
    result, (height, width) = picture.copy(), picture.shape[:2]
    if side == "left":
        result[:, : round(share * width)] = level
    elif side == "right":
        result[:, width - round(share * width) :] = level
    else:
        result[height - round(share * height) :] = level
    return result


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "dark": lambda picture: exposed(picture, 0.4),
    "bright": lambda picture: exposed(picture, 1.15),
    "flat": lambda picture: exposed(picture, 0.9, 0.7),
    "contrast": lambda picture: exposed(picture, 1.0, 1.4),
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "blurred": lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), 3.0), np.uint8),
    "compressed": compressed,
    "shadow": lambda picture: np.asarray(
        (picture * np.linspace(1.0, 0.6, picture.shape[1])[None, :, None]), np.uint8
    ),
}


@pytest.fixture(params=["astronaut_photo", "hopper_photo"])
def photo(request: pytest.FixtureRequest) -> Photo:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Photo)
    return found


@pytest.mark.parametrize("colours", ["colour", "gray"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_person_is_alike_after_a_change(photo: Photo, change: str, colours: str) -> None:
    before = shown(photo) if colours == "colour" else gray(shown(photo))
    box = box_of(photo, 120)
    mirrored = (120 - box[2], box[1], 120 - box[0], box[3]) if change == "mirrored" else box
    assert difference(before, CHANGES[change](before), box, mirrored) <= ALIKE


@pytest.mark.parametrize("width", [60, 47, 240])
def test_a_person_is_alike_in_another_size(photo: Photo, width: int) -> None:
    boxes = box_of(photo, 120), box_of(photo, width)
    assert difference(shown(photo), shown(photo, width), *boxes) <= ALIKE


@pytest.mark.parametrize("offset", [(5.0, 0.0), (-4.0, 4.0), (0.0, -6.0), (3.0, 6.0)])
def test_a_person_is_not_unlike_where_the_box_is_inexact(
    photo: Photo, offset: tuple[float, float]
) -> None:
    left, top, right, bottom = box = box_of(photo, 120)
    x, y = offset
    moved = (left + x, top + y, right + x, bottom + y)
    assert difference(shown(photo), shown(photo), box, moved) < 0.8 * UNLIKE


@pytest.mark.parametrize("level", [20, 128, 230])
@pytest.mark.parametrize("side", ["left", "right", "bottom"])
def test_a_person_of_whom_a_part_is_covered_is_not_somebody_else(
    photo: Photo, side: str, level: int
) -> None:
    before, box = shown(photo), box_of(photo, 120)
    assert difference(before, covered(before, 0.45, side, level), box) <= ALIKE


@pytest.mark.parametrize("colours", ["colour", "gray"])
@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize("gain", [0.5, 1.0, 1.2])
def test_two_people_are_unlike(
    astronaut_photo: Photo, hopper_photo: Photo, gain: float, width: int, colours: str
) -> None:
    photos = astronaut_photo, hopper_photo
    first, second = shown(photos[0], width), exposed(shown(photos[1], width), gain)
    if colours == "gray":
        first, second = gray(first), gray(second)
    boxes = box_of(photos[0], width), box_of(photos[1], width)
    assert difference(first, second, *boxes) > UNLIKE
    assert difference(second, first, *boxes[::-1]) > UNLIKE


def test_drawn_people_of_other_colours_are_unlike_and_the_same_alike() -> None:
    scene, box = view(background(5), 100.0), (150.0, 76.0, 174.0, 105.0)
    people = [draw_person(scene, 162.0, 90.0, seed) for seed in range(6)]
    later = [draw_person(view(background(6), 300.0), 162.0, 90.0, seed) for seed in range(6)]
    heads = [head_thumbnails(exposed(one, 0.8), [box]) for one in later]
    again = [
        head_differences(head_thumbnails(one, [box]), heads[k]) for k, one in enumerate(people)
    ]
    assert max(float(one[0, 0]) for one in again) <= ALIKE
    others = [
        float(head_differences(head_thumbnails(people[a], [box]), heads[b])[0, 0])
        for a, b in combinations(range(6), 2)
    ]
    assert np.median(others) > UNLIKE
    assert min(others) > max(float(one[0, 0]) for one in again)


@pytest.mark.parametrize("gain", [1.3, 1.6, 2.0, 3.0, 8.0])
def test_an_overexposed_person_is_not_somebody_else(photo: Photo, gain: float) -> None:
    before, box = shown(photo), box_of(photo, 120)
    for gamma in (0.7, 1.0):
        after = exposed(before, gain, gamma)
        assert not difference(before, after, box) > ALIKE
        assert not difference(after, before, box) > ALIKE


@pytest.mark.parametrize("level", [0, 3, 128])
def test_faces_without_a_pattern_are_unknown(photo: Photo, level: int) -> None:
    uniform, box = np.full((120, 120, 3), level, np.uint8), box_of(photo, 120)
    assert np.isnan(difference(shown(photo), uniform, box))
    assert np.isnan(difference(uniform, shown(photo), box))


def test_faces_at_edges_and_outside_the_frame_have_thumbnails() -> None:
    picture = infrared(view(background(1), 40.0))
    boxes: list[Box] = [
        (-20.0, -20.0, 30.0, 40.0), (WIDTH - 12.0, 20.0, WIDTH + 40.0, 90.0),
        (-80.0, 10.0, -30.0, 70.0), (10.2, 10.2, 10.3, 10.3), (0.0, 0.0, WIDTH, 180.0),
    ]  # fmt: skip
    heads = head_thumbnails(picture, boxes)
    assert heads.shape == (5, SIDE, SIDE, 3)
    assert [bool(head.any()) for head in heads] == [True, True, False, False, True]
    differences = head_differences(heads, heads)
    assert differences.shape == (5, 5)
    assert np.isfinite(differences[0, 1])
    assert np.isnan(differences[2]).all()


def test_no_heads_have_no_differences() -> None:
    none = head_thumbnails(np.zeros((20, 20, 3), np.uint8), [])
    some = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    assert head_differences(none, some).shape == (0, 2)
    assert head_differences(some, none).shape == (2, 0)
