from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Detection
from jdsr_cli.faces.detection.network import (
    Letterbox,
    NetworkDetector,
    choose_scales,
    decode_detections,
    merge_scales,
)
from jdsr_cli.settings import DetectorSettings

Bytes = NDArray[np.uint8]


def face(x: float, y: float, width: float, score: float = 0.9) -> Detection:
    points = np.zeros((5, 2), np.float32)
    return Detection((x, y, x + width, y + 1.25 * width), points, score)


class Recorder:
    """A network that detects one face, whose score is the image's first value / 255."""

    name = "recorder"
    backend = "opencv"
    threshold = 0.25
    least_width = 15.0
    batch_pixels = 3 * 64 * 64

    def __init__(self) -> None:
        self.calls: list[tuple[int, Letterbox, float]] = []

    def find(
        self, images: Sequence[Bytes], letterbox: Letterbox, threshold: float
    ) -> list[list[Detection]]:
        self.calls.append((len(images), letterbox, threshold))
        return [[face(4, 4, 20, image.flat[0] / 255)] for image in images]


def test_images_of_equal_size_form_batches_and_results_keep_their_order() -> None:
    network = Recorder()
    shapes = [(64, 64), (40, 60), (64, 64), (64, 64), (64, 64), (40, 60)]
    images = [np.full((*shape, 3), 10 * k, np.uint8) for k, shape in enumerate(shapes)]
    detected = NetworkDetector(network, DetectorSettings(scale=1.0)).detect(images)
    assert [round(one[0].score * 25.5) for one in detected] == [0, 1, 2, 3, 4, 5]
    assert sorted(count for count, _, _ in network.calls) == [1, 2, 3]
    assert {threshold for _, _, threshold in network.calls} == {0.25}
    assert NetworkDetector(network, DetectorSettings()).detect([]) == []


def test_a_given_threshold_is_used() -> None:
    network = Recorder()
    image = np.zeros((64, 64, 3), np.uint8)
    NetworkDetector(network, DetectorSettings(threshold=0.7, scale=1.0)).detect([image])
    assert network.calls[0][2] == 0.7


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_images_that_are_not_rgb_uint8_are_refused(image: Bytes) -> None:
    with pytest.raises(UsageError, match="RGB uint8"):
        NetworkDetector(Recorder(), DetectorSettings()).detect([image])


def test_a_given_scale_is_the_only_one() -> None:
    scales = choose_scales(4000, 3000, 15.0, DetectorSettings(scale=0.7))
    assert (scales.fine, scales.coarse) == (0.7, None)


@pytest.mark.parametrize(
    ("width", "height", "least", "fine"),
    [
        (400, 300, 10.0, 1.5),
        (400, 300, 30.0, 1.0),
        (1920, 1080, 30.0, 0.5),
        (1920, 1080, 10.0, 1.0),
        (8000, 6000, 10.0, (16 / 48) ** 0.5),
        (120, 90, 0.0, 9.62),
    ],
)
def test_the_scale_depends_on_the_smallest_face_within_limits(
    width: int, height: int, least: float, fine: float
) -> None:
    scales = choose_scales(width, height, 15.0, DetectorSettings(min_face=least))
    assert scales.fine == pytest.approx(fine, rel=1e-2)


@settings(deadline=None)
@given(st.integers(1, 20000), st.integers(1, 20000), st.floats(0, 500))
def test_every_frame_size_has_scales_for_small_and_large_faces(
    width: int, height: int, least: float
) -> None:
    scales = choose_scales(width, height, 15.0, DetectorSettings(min_face=least))
    assert scales.fine > 0
    assert scales.fine**2 * width * height <= 16_000_001
    widest = max(width, height) * (scales.coarse or scales.fine)
    assert widest <= 641
    assert scales.coarse is None or scales.coarse < scales.fine


def test_two_scales_merge_without_duplicates_or_fragments() -> None:
    small, large = face(300, 10, 30, 0.8), face(0, 0, 400, 0.9)
    fragment = face(100, 100, 90, 0.95)
    same_fine, same_coarse = face(600, 0, 260, 0.5), face(605, 3, 255, 0.7)
    coarse_small = face(301, 11, 29, 0.99)
    fine = [small, fragment, same_fine, face(10, 10, 390, 0.6)]
    merged = merge_scales(fine, [large, same_coarse, coarse_small], 256.0)
    assert [one.score for one in merged] == [0.9, 0.7]
    apart = face(700, 400, 30, 0.8)
    assert merge_scales([apart], [large], 256.0) == [large, apart]
    assert merge_scales([], [], 256.0) == []
    assert merge_scales([apart], [], 256.0) == [apart]


@settings(deadline=None)
@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.floats(0.1, 4.0),
    st.lists(st.tuples(st.floats(-50, 3000), st.floats(-50, 3000)), max_size=4),
)
def test_a_letterbox_maps_back_to_the_frame(
    width: int, height: int, scale: float, points: list[tuple[float, float]]
) -> None:
    box = Letterbox.of(width, height, scale)
    assert box.outer_width % 32 == box.outer_height % 32 == 0
    assert 0 <= box.outer_width - box.inner_width < 32
    factor = np.array([box.inner_width / width, box.inner_height / height])
    flat = np.array(points, dtype=np.float64).reshape(-1, 2)
    mapped = ((flat + 0.5) * factor).astype(np.float32)
    np.testing.assert_allclose(box.to_frame(mapped), flat, atol=2e-2)


def test_frames_are_padded_on_the_right_and_below() -> None:
    image = np.full((50, 40, 3), 200, np.uint8)
    batch = Letterbox.of(40, 50, 0.5).fit([image, image // 2], (1, 2, 3))
    assert batch.shape == (2, 32, 32, 3)
    assert (batch[0, :25, :20] == 200).all()
    assert (batch[1, :25, :20] == 100).all()
    assert (batch[:, 25:] == (1, 2, 3)).all()
    assert (batch[:, :, 20:] == (1, 2, 3)).all()


def test_boxes_are_clipped_to_the_frame_and_those_in_the_padding_dropped() -> None:
    letterbox = Letterbox.of(100, 100, 1.0)
    boxes = np.array([[-20, 10, 30, 60], [101, 101, 120, 120]], np.float32)
    points = np.zeros((2, 10), np.float32)
    points[0, 0] = -3.0
    (detected,) = decode_detections(boxes, points, np.array([0.5, 0.6], np.float32), letterbox, 0.3)
    assert detected.box == (0.0, 9.5, 29.5, 59.5)
    assert detected.points[0, 0] == -3.5
    assert (detected.width, detected.height) == (29.5, 50.0)


@pytest.mark.parametrize(
    "invalid",
    [
        {"threshold": 0.0},
        {"threshold": 1.5},
        {"threshold": float("nan")},
        {"min_face": -1.0},
        {"min_face": float("nan")},
        {"scale": 0.0},
        {"scale": 20.0},
    ],
)
def test_settings_out_of_range_are_refused(invalid: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        DetectorSettings(**invalid)  # type: ignore[arg-type]
