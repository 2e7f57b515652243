import numpy as np
import pytest
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.evidence.drawing import FaceOverlay, draw_faces, track_colour

POINTS = np.array([[40, 40], [60, 40], [50, 50], [42, 60], [58, 60]], np.float32)
BOX = (30.0, 30.0, 70.0, 76.0)


def drawn(
    height: int, width: int, *overlays: FaceOverlay, level: int = 128
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    image = np.full((height, width, 3), level, np.uint8)
    draw_faces(image, overlays)
    return image, (image != level).any(axis=2)


def test_a_box_is_outlined_in_the_colour_of_its_track_and_its_face_stays_visible() -> None:
    image, touched = drawn(360, 640, FaceOverlay(BOX, POINTS, 3))
    colour = track_colour(3)
    assert (image[76, 30:71] == colour).all()
    assert (image[30:77, 30] == colour).all()
    assert (image[30:77, 70] == colour).all()
    assert touched[32:75, 33:69].mean() < 0.05
    for x, y in POINTS.astype(int):
        assert (image[y, x] == colour).all()


def test_track_colours_are_constant_and_differ_between_neighbours() -> None:
    colours = [track_colour(track) for track in range(1, 13)]
    assert colours == [track_colour(track) for track in range(1, 13)]
    for one in range(12):
        for other in range(one + 1, min(one + 4, 12)):
            difference = np.abs(np.subtract(colours[one], colours[other])).max()
            assert difference > 60, (one, other)


def test_refused_faces_have_dashed_boxes() -> None:
    _, solid = drawn(360, 640, FaceOverlay(BOX, POINTS[:0], 3))
    _, dashed = drawn(360, 640, FaceOverlay(BOX, POINTS[:0], 3, refused=True))
    assert solid[76, 30:71].all()
    assert 0.3 < dashed[76, 30:71].mean() < 0.7
    assert 0.3 < dashed[34:76, 30].mean() < 0.7


@pytest.mark.parametrize(("height", "width", "least"), [(360, 640, 11), (1080, 1920, 24)])
def test_the_text_grows_with_the_frame_and_contrasts_with_its_background(
    height: int, width: int, least: int
) -> None:
    box = (200.0, 200.0, 260.0, 270.0)
    for track in range(1, 9):
        bare, _ = drawn(height, width, FaceOverlay(box, POINTS[:0], track))
        image, _ = drawn(height, width, FaceOverlay(box, POINTS[:0], track, "0.97 blurred"))
        rows, columns = np.nonzero((image != bare).any(axis=2))
        assert rows.max() < 200
        assert rows.max() - rows.min() >= 0.6 * least
        assert columns.min() >= 200
        background = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        luma = background @ np.array([0.299, 0.587, 0.114])
        assert luma.max() - luma.min() > 75


@pytest.mark.parametrize(
    "box",
    [
        (-20.0, -10.0, 15.0, 12.0),
        (90.0, 50.0, 130.0, 90.0),
        (0.0, 0.0, 99.0, 59.0),
        (500.0, 500.0, 520.0, 530.0),
        (-50.0, -50.0, -40.0, -40.0),
        (20.0, 20.0, 20.0, 20.0),
    ],
)
def test_faces_at_and_beyond_the_border_are_clipped(box: tuple[float, ...]) -> None:
    overlay = FaceOverlay(box, POINTS + 60, 1, "a text wider than the frame itself", True)  # type: ignore[arg-type]
    image, touched = drawn(60, 100, overlay)
    assert image.shape == (60, 100, 3)
    assert touched.any()


def test_text_is_drawn_below_a_face_at_the_upper_border() -> None:
    _, touched = drawn(360, 640, FaceOverlay((30.0, 0.0, 70.0, 40.0), POINTS[:0], 5, "0.5"))
    assert touched[42:50, 30:45].mean() > 0.9


def test_no_faces_leave_the_image_unchanged() -> None:
    _, touched = drawn(20, 20)
    assert not touched.any()


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 4), "u1")],
)
def test_images_that_are_not_rgb_uint8_are_refused(image: NDArray[np.uint8]) -> None:
    with pytest.raises(UsageError, match="RGB uint8"):
        draw_faces(image, [])


def test_a_box_that_is_not_finite_is_refused_before_drawing() -> None:
    image = np.zeros((90, 90, 3), np.uint8)
    invalid = FaceOverlay((0.0, 0.0, float("nan"), 9.0), POINTS, 2)
    with pytest.raises(UsageError, match="track 2"):
        draw_faces(image, [FaceOverlay(BOX, POINTS, 1), invalid])
    assert not image.any()
