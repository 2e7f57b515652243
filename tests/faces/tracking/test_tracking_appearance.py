"""People are told apart by small pictures of their heads where frames follow each other slowly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from drawn_scenes import background, exposed, view
from face_photos import Photo
from moving_faces import face, track_numbers
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Detection
from jdsr_cli.faces.head_appearance import head_thumbnails
from jdsr_cli.faces.tracking import Tracker
from jdsr_cli.settings import TrackerSettings

Picture = NDArray[np.uint8]
RATES = [1.0, 2.0, 5.0]
PLACE = (160.0, 90.0)
WIDTH = 40.0
COAT = (60, 70, 150)


@dataclass(frozen=True)
class Shown:
    """A person in a frame."""

    photo: Photo
    place: tuple[float, float] = PLACE
    width: float = WIDTH
    """Width of the face in pixels."""


def frame(people: Sequence[Shown], seed: int = 3) -> tuple[Picture, list[Detection]]:
    """Return a picture of people in front of a wall, and their faces as detected."""
    picture, faces = view(background(seed), 100.0), []
    for one in people:
        scale, (x, y) = one.width / one.photo.width, one.place
        middle = scale * one.photo.points.mean(axis=0)
        placed = np.array([[scale, 0.0, x - middle[0]], [0.0, scale, y - middle[1]]])
        small = cv2.GaussianBlur(one.photo.image, (0, 0), 0.4 / scale)
        cv2.warpAffine(
            small, placed, picture.shape[1::-1], dst=picture, borderMode=cv2.BORDER_TRANSPARENT
        )
        faces.append(face(x, y, one.width))
    return picture, faces


def tracks_of(
    frames: Sequence[tuple[Picture, list[Detection]]], rate: float, *, compare: bool = True
) -> list[tuple[int, ...]]:
    """Return the tracks in each frame, in the order of the detections."""
    tracker, final = Tracker(TrackerSettings(), rate), []
    for number, (picture, faces) in enumerate(frames):
        heads = head_thumbnails(picture, [one.box for one in faces]) if compare else None
        final += tracker.add(number / rate, faces, heads=heads)
    final += tracker.finish()
    numbers = []
    for (_, faces), one in zip(frames, final, strict=True):
        by_raw = {id(shown.raw): shown.track for shown in one.faces}
        numbers.append(tuple(by_raw[id(each)] for each in faces))
    return numbers


def tinted(photo: Photo, factors: tuple[float, float, float]) -> Photo:
    """Return a photograph of somebody of another colour of skin and hair."""
    levels = np.clip(photo.image * np.array(factors), 0, 255).astype(np.uint8)
    return Photo(levels, photo.points, photo.width)


def mirrored(photo: Photo) -> Photo:
    points = photo.points[[1, 0, 2, 4, 3]] * (-1.0, 1.0) + (photo.image.shape[1] - 1.0, 0.0)
    return Photo(np.ascontiguousarray(photo.image[:, ::-1]), points, photo.width)


def gray(photo: Photo) -> Photo:
    luma = cv2.cvtColor(photo.image, cv2.COLOR_RGB2GRAY)
    return Photo(np.repeat(luma[..., None], 3, axis=2), photo.points, photo.width)


@pytest.mark.parametrize("colour", [lambda photo: photo, gray])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (6.0, -4.0), (-20.0, 0.0), (30.0, 10.0)])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("reverse", [False, True])
def test_somebody_else_at_the_same_place_is_another_track(
    astronaut_photo: Photo,
    hopper_photo: Photo,
    rate: float,
    offset: tuple[float, float],
    reverse: bool,
    colour: Callable[[Photo], Photo],
) -> None:
    first, second = (colour(one) for one in (astronaut_photo, hopper_photo))
    if reverse:
        first, second = second, first
    there = (PLACE[0] + offset[0], PLACE[1] + offset[1])
    frames = [frame([Shown(first)])] * 3 + [frame([Shown(second, there)])] * 3
    if max(map(abs, offset)) < WIDTH / 2:
        assert tracks_of(frames, rate, compare=False) == [(1,)] * 6
    assert tracks_of(frames, rate) == [(1,)] * 3 + [(2,)] * 3


@pytest.mark.parametrize("factors", [(0.5, 0.9, 1.3), (1.1, 0.7, 0.3), (0.6, 1.2, 0.6)])
@pytest.mark.parametrize("rate", RATES)
def test_somebody_of_other_colours_is_another_track(
    astronaut_photo: Photo, rate: float, factors: tuple[float, float, float]
) -> None:
    other = mirrored(tinted(astronaut_photo, factors))
    frames = [frame([Shown(astronaut_photo)])] * 2
    frames += [frame([Shown(other, (186.0, 96.0)), Shown(astronaut_photo, (250.0, 90.0))])] * 2
    numbers = tracks_of(frames, rate)
    assert numbers[2][0] != 1


@pytest.mark.parametrize("rate", RATES)
def test_two_people_who_change_places_keep_their_tracks(
    astronaut_photo: Photo, hopper_photo: Photo, rate: float
) -> None:
    here, there = (140.0, 90.0), (190.0, 94.0)
    before = frame([Shown(astronaut_photo, here), Shown(hopper_photo, there)])
    after = frame([Shown(astronaut_photo, there), Shown(hopper_photo, here)])
    numbers = tracks_of([before] * 3 + [after] * 3, rate)
    first, second = numbers[0]
    for one, other in numbers[3:]:
        assert one != second
        assert other != first


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "dark": lambda picture: exposed(picture, 0.4),
    "bright": lambda picture: exposed(picture, 1.3),
    "contrast": lambda picture: exposed(picture, 1.0, 1.4),
    "blurred": lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), 2.0), np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", ["astronaut_photo", "hopper_photo"])
def test_a_person_is_one_track_after_a_change_of_light(
    request: pytest.FixtureRequest, name: str, rate: float, change: str
) -> None:
    picture, faces = frame([Shown(request.getfixturevalue(name))])
    frames = [(picture, faces)] * 3 + [(CHANGES[change](picture), faces)] * 3
    assert tracks_of(frames, rate) == [(1,)] * 6


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", ["astronaut_photo", "hopper_photo"])
@pytest.mark.parametrize("kind", ["half size", "turned", "covered", "moved"])
def test_a_person_is_one_track_after_a_change_of_pose_or_place(
    request: pytest.FixtureRequest, name: str, rate: float, kind: str
) -> None:
    photo = request.getfixturevalue(name)
    first = frame([Shown(photo)])
    if kind == "half size":
        sizes = [WIDTH * 0.5 ** (number / 3) for number in range(4)]
        later = [frame([Shown(photo, width=width)]) for width in sizes]
    elif kind == "turned":
        later = [frame([Shown(mirrored(photo), (164.0, 88.0))])] * 3
    elif kind == "moved":
        later = [frame([Shown(photo, (160.0 + 24 * n, 90.0 + 20 * (n % 2)))]) for n in (1, 2, 3)]
    else:
        picture, faces = frame([Shown(photo, (166.0, 90.0))])
        hidden = picture.copy()
        hidden[:, 168:260] = COAT
        later = [(hidden, faces), (picture, faces)]
    assert tracks_of([first, *later], rate) == [(1,)] * (len(later) + 1)


@pytest.mark.parametrize("bob", [24.0, 36.0])
def test_a_walker_who_goes_up_and_down_is_one_track(astronaut_photo: Photo, bob: float) -> None:
    frames = [
        frame([Shown(astronaut_photo, (100.0 + 8 * number, 70.0 + bob * (number % 2)))])
        for number in range(8)
    ]
    assert tracks_of(frames, 5.0) == [(1,)] * 8


@pytest.mark.parametrize("rate", [6.0, 12.5, 25.0, 30.0])
def test_heads_are_not_compared_after_short_steps(
    astronaut_photo: Photo, hopper_photo: Photo, rate: float
) -> None:
    people = [astronaut_photo, hopper_photo] * 3
    assert tracks_of([frame([Shown(one)]) for one in people], rate) == [(1,)] * 6


def test_heads_are_compared_after_one_long_step_among_short_ones(
    astronaut_photo: Photo, hopper_photo: Photo
) -> None:
    tracker, final = Tracker(TrackerSettings(), 25.0), []
    people = [astronaut_photo] * 10 + [hopper_photo] * 10
    times = [number / 25 + (0.4 if number >= 10 else 0.0) for number in range(20)]
    for time, one in zip(times, people, strict=True):
        picture, faces = frame([Shown(one)])
        heads = head_thumbnails(picture, [each.box for each in faces])
        final += tracker.add(time, faces, heads=heads)
    found = track_numbers(final + tracker.finish())
    assert (found[0], found[-1]) == ((1,), (2,))


@pytest.mark.parametrize(
    "heads",
    [
        np.zeros((2, 12, 12, 3), np.uint8), np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((1, 12, 12, 3), np.float32), np.zeros((12, 12, 3), np.uint8),
    ],
)  # fmt: skip
def test_heads_that_do_not_fit_are_refused(heads: NDArray[np.uint8]) -> None:
    tracker = Tracker(TrackerSettings(), 2.0)
    with pytest.raises(UsageError, match="heads"):
        tracker.add(0.0, [face(50, 50)], heads=heads)
