"""Averages of a face over neighbouring frames: noise goes, changes stay."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from face_photos import Photo
from numpy.typing import NDArray

from jdsr_cli.faces import Alignment, crop, estimate_alignment
from jdsr_cli.faces.resampling import chain, invert, resample, zoom
from jdsr_cli.faces.window import MAX_MOTION, FaceView, FaceWindow, Windowed

Picture = NDArray[np.uint8]
Paint = Callable[[Picture], Picture]


@pytest.fixture
def face(astronaut_photo: Photo) -> Picture:
    return crop(astronaut_photo.image, estimate_alignment(astronaut_photo.points))


@pytest.fixture
def other(hopper_photo: Photo) -> Picture:
    return crop(hopper_photo.image, estimate_alignment(hopper_photo.points))


def similarity(right: float, below: float, turn: float = 0.0) -> NDArray[np.float64]:
    """Return the map that turns by radians about the middle of the template and shifts."""
    cosine, sine = np.cos(turn), np.sin(turn)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([linear, np.array([right, below]) + 63.5 - linear @ [63.5, 63.5]])


def film(
    scene: Picture,
    number: int,
    *,
    width: int = 64,
    noise: float = 6.0,
    error: NDArray[np.float64] | None = None,
) -> FaceView:
    """Film a face that lies elsewhere in each frame.

    Args:
        scene: The face in the template.
        number: Number of the frame; seeds position and noise.
        width: Native width in pixels.
        noise: Standard deviation in grey levels.
        error: Of the alignment, in the template.

    """
    rng = np.random.default_rng(number)
    position = similarity(*rng.uniform(-2.0, 2.0, 2))
    frame = resample(scene, chain(position, zoom(128 / width)), width).astype(np.float64)
    pixels = np.clip(np.rint(frame + rng.normal(0.0, noise, frame.shape)), 0, 255).astype(np.uint8)
    alignment = chain(position, zoom(128 / width))
    aligned = Alignment(alignment if error is None else chain(error, alignment))
    return FaceView.cut(number, number / 25, pixels, aligned)


def seen(view: FaceView, side: int = 128) -> Picture:
    return crop(view.pixels, view.alignment, side)


def combine(views: Sequence[FaceView], current: int, side: int = 128) -> Windowed:
    centre = views[current]
    neighbours = [view for view in views if view is not centre]
    return FaceWindow(centre, neighbours).combine(seen(centre, side))


INNER = np.s_[30:105, 30:100]


def distance(one: Picture, two: Picture, part: tuple[slice, slice] = INNER) -> float:
    return float(np.abs(one[part].astype(float) - two[part]).mean())


@pytest.mark.parametrize("current", [0, 2, 4])
@pytest.mark.parametrize("width", [24, 64, 128])
def test_noise_is_averaged_and_detail_kept(face: Picture, current: int, width: int) -> None:
    views = [film(face, number, width=width) for number in range(5)]
    found = combine(views, current)
    assert found.frames == 5
    truth = combine([film(face, current, width=width, noise=0.0)], 0).image
    assert distance(found.image, truth) < 0.65 * distance(seen(views[current]), truth)


@pytest.mark.parametrize("error", [(1.5, -1.0, 0.02), (-2.0, 2.0, -0.03), (0.0, 3.0, 0.0)])
def test_errors_of_the_landmarks_are_registered(
    face: Picture, error: tuple[float, float, float]
) -> None:
    views = [film(face, 0), *(film(face, n, error=similarity(*error)) for n in (1, 2, 3))]
    found = combine(views, 0)
    assert found.frames == 4
    truth = seen(film(face, 0, noise=0.0))
    assert distance(found.image, truth) < 0.7 * distance(seen(views[0]), truth)
    # The other way as well: each pair of views is estimated once.
    assert combine(views, 2).frames == 4
    assert np.allclose(views[0].motion_to(views[2]), invert(views[2].motion_to(views[0])))


def open_mouth(face: Picture) -> Picture:
    return cv2.ellipse(face.copy(), (63, 102), (14, 9), 0, 0, 360, (45, 12, 12), -1)  # type: ignore[return-value]


def blink(face: Picture) -> Picture:
    closed = face.copy()
    for x in (46, 81):
        cv2.ellipse(closed, (x, 66), (9, 5), 0, 0, 360, (205, 150, 125), -1)
    return closed


def mask(face: Picture) -> Picture:
    points = np.array([[24, 84], [63, 76], [102, 84], [94, 122], [63, 127], [32, 122]])
    return cv2.fillPoly(face.copy(), [points], (170, 200, 225))  # type: ignore[return-value]


def dark_mask(face: Picture) -> Picture:
    points = np.array([[24, 84], [63, 80], [102, 84], [94, 122], [63, 127], [32, 122]])
    return cv2.fillPoly(face.copy(), [points], (25, 25, 30))  # type: ignore[return-value]


def hand(face: Picture) -> Picture:
    covered = face.copy()
    for x in (38, 52, 66, 80):
        cv2.line(covered, (x, 128), (x + 6, 88), (120, 70, 50), 11)
    return covered


CHANGES = {
    "open mouth": (open_mouth, 63, 102),
    "blink": (blink, 46, 66),
    "mask": (mask, 63, 100),
    "dark mask": (dark_mask, 63, 100),
    "hand": (hand, 56, 108),
}
"""How a face changes, and where that is seen."""


@pytest.mark.parametrize("noise", [1.0, 5.0])
@pytest.mark.parametrize(("change", "x", "y"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("when", ["now", "in the others", "from now on", "until now"])
def test_what_changes_is_that_of_the_current_frame(
    face: Picture, change: Paint, x: int, y: int, when: str, noise: float
) -> None:
    scenes = {
        "now": [face, face, change(face), face, face],
        "in the others": [change(face), change(face), face, change(face), change(face)],
        "from now on": [face, face, *[change(face)] * 3],
        "until now": [*[change(face)] * 3, face, face],
    }[when]
    views = [film(scene, number, noise=noise) for number, scene in enumerate(scenes)]
    found = combine(views, 2)
    truth = seen(film(scenes[2], 2, noise=0.0))
    alternative = seen(film(face if scenes[2] is not face else change(face), 2, noise=0.0))
    part = np.s_[y - 4 : y + 5, x - 4 : x + 5]
    leak = (found.image[part].astype(float) - truth[part]).mean(axis=(0, 1))
    contrast = (alternative[part].astype(float) - truth[part]).mean(axis=(0, 1))
    strongest = int(np.abs(contrast).argmax())
    assert abs(contrast[strongest]) > 20.0
    own = (seen(views[2])[part].astype(float) - truth[part]).mean(axis=(0, 1))
    # The mean over 81 pixels: what is left of the noise, and no share of the other frames.
    assert abs(leak[strongest] - own[strongest]) < 0.03 * abs(contrast[strongest]) + 0.8


def test_what_does_not_change_is_averaged_beside_what_does(face: Picture) -> None:
    scenes = [face, face, open_mouth(face), face, face]
    views = [film(scene, number) for number, scene in enumerate(scenes)]
    found, truth = combine(views, 2), seen(film(scenes[2], 2, noise=0.0))
    assert found.frames == 5
    upper = np.s_[40:80, 35:95]
    assert distance(found.image, truth, upper) < 0.7 * distance(seen(views[2]), truth, upper)


@pytest.mark.parametrize("levels", [-20, 8, 25])
def test_light_that_changes_is_that_of_the_current_frame(face: Picture, levels: int) -> None:
    dim = np.clip(face.astype(int) * 0.7 + 20, 0, 255).astype(np.uint8)
    lit = np.clip(dim.astype(int) + levels, 0, 255).astype(np.uint8)
    views = [film(lit if number == 1 else dim, number) for number in range(3)]
    found = combine(views, 1)
    assert found.frames == 3
    region = np.s_[40:100, 35:95]
    exposed = seen(views[1])[region].astype(float).mean(axis=(0, 1))
    assert found.image[region].mean(axis=(0, 1)) == pytest.approx(exposed, abs=1.0)


def test_another_face_is_left_out(face: Picture, other: Picture) -> None:
    views = [film(face, 0), film(other, 1), film(face, 2), film(other, 3)]
    found = combine(views, 0)
    assert found.frames == 2
    assert distance(found.image, combine(views[0:3:2], 0).image) == 0.0


@pytest.mark.parametrize("shift", [3.0 * MAX_MOTION, -4.0 * MAX_MOTION])
def test_a_face_that_does_not_register_is_left_out(face: Picture, shift: float) -> None:
    views = [film(face, 0, noise=1.0), film(face, 1, noise=1.0, error=similarity(shift, shift))]
    filmed = seen(views[0])
    found = FaceWindow(views[0], views[1:]).combine(filmed)
    assert found.frames == 1
    assert found.image is filmed


def test_without_neighbours_the_face_is_returned_itself(face: Picture) -> None:
    view = film(face, 0)
    filmed = seen(view)
    assert FaceWindow(view, []).combine(filmed).image is filmed


def test_a_picture_that_stays_stays(face: Picture) -> None:
    views = [FaceView.cut(n, n / 25, face, Alignment(np.eye(2, 3))) for n in range(3)]
    assert np.array_equal(combine(views, 1).image, face)


def test_crops_of_small_generators_are_averaged(face: Picture) -> None:
    views = [film(face, number) for number in range(5)]
    found = combine(views, 2, 32)
    truth = seen(film(face, 2, noise=0.0), 32)
    part = np.s_[8:26, 8:25]
    assert found.image.shape == (32, 32, 3)
    assert found.frames == 5
    assert distance(found.image, truth, part) < 0.8 * distance(seen(views[2], 32), truth, part)


@pytest.mark.parametrize("stretched", [1.0, 1.5, 0.6])
@pytest.mark.parametrize("width", [20, 100, 500])
def test_a_view_holds_no_more_than_the_template_with_its_margin(
    face: Picture, width: int, stretched: float
) -> None:
    factor = width / 128
    size = (round(400 * factor), round(400 * factor * stretched))
    frame = np.asarray(cv2.resize(np.tile(face, (3, 3, 1)), size), np.uint8)
    # The face in the middle of nine.
    to_frame = np.array([[400 / 384, 0, 400 / 3], [0, 400 / 384 * stretched, 400 / 3 * stretched]])
    alignment = Alignment(invert(to_frame * factor))
    view = FaceView.cut(0, 0.0, frame, alignment)
    assert view.nbytes <= 3 * 175**2
    assert view.pixels.base is None
    assert distance(seen(view), crop(frame, alignment)) < 2.0
    moved = view.registered(similarity(6.0, -6.0), 128)
    expected = crop(frame, Alignment(chain(invert(similarity(6.0, -6.0)), alignment.matrix)))
    assert distance(moved, expected, np.s_[2:-2, 2:-2]) < 2.0
