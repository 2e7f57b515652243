import numpy as np
import pytest
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.evidence.drawing import FaceOverlay, draw_faces, track_colour

POINTS = np.array([[40, 40], [60, 40], [50, 50], [42, 60], [58, 60]], np.float32)
BOX = (30.0, 30.0, 70.0, 76.0)


def drawn(
    height: int, width: int, *marks: FaceOverlay, level: int = 128
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    image = np.full((height, width, 3), level, np.uint8)
    draw_faces(image, marks)
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


def test_a_track_keeps_its_colour_and_the_next_ones_have_others() -> None:
    colours = [track_colour(track) for track in range(1, 13)]
    assert colours == [track_colour(track) for track in range(1, 13)]
    for one in range(12):
        for other in range(one + 1, min(one + 4, 12)):
            apart = np.abs(np.subtract(colours[one], colours[other])).max()
            assert apart > 60, (one, other)


def test_refused_faces_have_dashed_boxes() -> None:
    _, whole = drawn(360, 640, FaceOverlay(BOX, POINTS[:0], 3))
    _, dashed = drawn(360, 640, FaceOverlay(BOX, POINTS[:0], 3, refused=True))
    assert whole[76, 30:71].all()
    assert 0.3 < dashed[76, 30:71].mean() < 0.7
    assert 0.3 < dashed[34:76, 30].mean() < 0.7


@pytest.mark.parametrize(("height", "width", "least"), [(360, 640, 11), (1080, 1920, 24)])
def test_the_text_grows_with_the_frame_and_contrasts_with_its_field(
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
        field = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        luma = field @ np.array([0.299, 0.587, 0.114])
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
    mark = FaceOverlay(box, POINTS + 60, 1, "a text wider than the frame itself", True)  # type: ignore[arg-type]
    image, touched = drawn(60, 100, mark)
    assert image.shape == (60, 100, 3)
    assert touched.any()


def test_text_is_readable_where_there_is_no_room_above_the_face() -> None:
    _, touched = drawn(360, 640, FaceOverlay((30.0, 0.0, 70.0, 40.0), POINTS[:0], 5, "0.5"))
    assert touched[42:50, 30:45].mean() > 0.9


def test_nothing_to_draw_changes_nothing() -> None:
    _, touched = drawn(20, 20)
    assert not touched.any()


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 4), "u1")],
)
def test_other_images_are_refused(image: NDArray[np.uint8]) -> None:
    with pytest.raises(UsageError, match="RGB uint8"):
        draw_faces(image, [])


def test_a_face_that_is_nowhere_is_refused_before_anything_is_drawn() -> None:
    image = np.zeros((90, 90, 3), np.uint8)
    nowhere = FaceOverlay((0.0, 0.0, float("nan"), 9.0), POINTS, 2)
    with pytest.raises(UsageError, match="track 2"):
        draw_faces(image, [FaceOverlay(BOX, POINTS, 1), nowhere])
    assert not image.any()
