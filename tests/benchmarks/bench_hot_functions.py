"""Time of the functions that run for every frame or face, with pytest-benchmark.

Run by hand: `pytest -n 0 tests/benchmarks/bench_hot_functions.py` (extra `bench`), see README.md.
Inputs are those of a 720p frame and faces of 64 px, on one thread. Every function also checks its
result, so that a run with `--benchmark-disable` is a test.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from jdsr_cli.faces import Alignment, Detection, compose, create_detector, crop, estimate_alignment
from jdsr_cli.faces.alignment import TEMPLATE
from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.faces.compositing import enlarge, match_colour, template_to_frame
from jdsr_cli.faces.detection.network import Letterbox, decode_detections
from jdsr_cli.faces.motion import estimate_motion
from jdsr_cli.faces.occlusion import covered_region
from jdsr_cli.faces.resampling import resample
from jdsr_cli.faces.scene import thumbnail
from jdsr_cli.faces.scene_changes import compare_scenes
from jdsr_cli.faces.tracking import Tracker
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.media import write_image
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.settings import DetectorSettings, TrackerSettings

ImageArray = NDArray[np.uint8]
Benchmark = Callable[..., Any]
WIDTH, HEIGHT = 1280, 720
FACES = 30
"""Tracked faces of a crowded frame."""
CANDIDATES = 300
"""Boxes before overlapping ones are suppressed."""


@pytest.fixture(scope="module")
def frame(hopper: ImageArray) -> ImageArray:
    """Return a frame with a face about 50 px wide at (600, 300)."""
    coarse = np.random.default_rng(0).integers(0, 256, (30, 54, 3), np.uint8)
    picture = np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT)), np.uint8)
    picture[300:420, 600:720] = hopper
    return picture


@pytest.fixture(scope="module")
def alignment() -> Alignment:
    """Return the alignment of a face with a native width of 64 px."""
    return estimate_alignment(TEMPLATE / 2 + (640.0, 320.0))


@pytest.fixture(scope="module")
def face(frame: ImageArray, alignment: Alignment) -> ImageArray:
    return crop(frame, alignment)


@pytest.fixture(scope="module")
def occlusion() -> NDArray[np.float32]:
    """Return the occlusion map of a mask on the lower half of the face."""
    covered = np.zeros((128, 128), np.float32)
    covered[80:] = 1.0
    return covered


def test_estimate_alignment(benchmark: Benchmark) -> None:
    found = benchmark(estimate_alignment, TEMPLATE / 2 + (640.0, 320.0))
    assert found.native_width == pytest.approx(64.0)


def test_crop_to_the_generator(
    benchmark: Benchmark, frame: ImageArray, alignment: Alignment
) -> None:
    assert benchmark(crop, frame, alignment, 64).shape == (64, 64, 3)


def test_resample_enlarging(benchmark: Benchmark, frame: ImageArray, alignment: Alignment) -> None:
    assert benchmark(resample, frame, alignment.inverse(), 128).shape == (128, 128, 3)


def test_canonical_map(benchmark: Benchmark, face: ImageArray) -> None:
    assert benchmark(canonical_map, face, monochrome=False).apply(face).shape == face.shape


def test_canonical_colours_restored(
    benchmark: Benchmark, face: ImageArray, occlusion: NDArray[np.float32]
) -> None:
    colours = canonical_map(face // 3, monochrome=False)
    image = colours.apply(face // 3)
    assert benchmark(colours.restore, image, face // 3, occlusion).shape == face.shape


def test_enlarge(benchmark: Benchmark, frame: ImageArray) -> None:
    assert benchmark(enlarge, frame, 2).shape == (2 * HEIGHT, 2 * WIDTH, 3)


@pytest.mark.parametrize("work", ["match_colour", "compose"])
def test_pasting(
    benchmark: Benchmark,
    frame: ImageArray,
    alignment: Alignment,
    face: ImageArray,
    occlusion: NDArray[np.float32],
    work: str,
) -> None:
    base, matrix = enlarge(frame, 2), template_to_frame(alignment, 2)
    if work == "match_colour":
        found = benchmark(match_colour, face, base, matrix, covered_region(occlusion))
        assert np.isfinite(found).all()
    else:
        pasted = benchmark(compose, base, face, occlusion, matrix, alignment.native_width)
        assert pasted.weight.max() > 0.5


def test_thumbnail(benchmark: Benchmark, frame: ImageArray) -> None:
    assert benchmark(thumbnail, frame).ndim == 3


@pytest.mark.parametrize("changed", [False, True])
def test_compare_scenes(benchmark: Benchmark, frame: ImageArray, changed: bool) -> None:
    small = thumbnail(frame)
    other = thumbnail(np.ascontiguousarray(frame[:, ::-1])) if changed else small
    assert benchmark(compare_scenes, small, other, 1.0).cut == changed


def test_estimate_motion(benchmark: Benchmark, face: ImageArray) -> None:
    luma = cv2.GaussianBlur(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (0, 0), 2).astype(np.float32)
    moved = np.roll(luma, 1, axis=1)
    assert benchmark(estimate_motion, luma, moved).shape == (2, 3)


def test_tracker_with_many_faces(benchmark: Benchmark) -> None:
    """Time one frame of a crowd that moves by a pixel per frame."""
    tracker, count = Tracker(TrackerSettings(), 25.0), 0
    points = (TEMPLATE / 3).astype(np.float32)

    def add() -> object:
        nonlocal count
        count += 1
        corners = ((100.0 * (n % 6) + 0.1 * count, 90.0 * (n // 6)) for n in range(FACES))
        faces = [
            Detection((x, y, x + 42, y + 42), points + np.float32([x, y]), 0.9) for x, y in corners
        ]
        return tracker.add(count / 25.0, faces)

    for _ in range(2 * tracker.lag):
        add()
    benchmark(add)
    assert all(len(one.faces) == FACES for one in tracker.finish())


def test_letterbox_fit(benchmark: Benchmark, frame: ImageArray) -> None:
    letterbox = Letterbox.of(WIDTH, HEIGHT, 0.5)
    assert benchmark(letterbox.fit, [frame], (0, 0, 0)).shape == (1, 384, 640, 3)


def test_decode_detections(benchmark: Benchmark) -> None:
    random = np.random.default_rng(0)
    corners = random.uniform(0, 600, (CANDIDATES, 2))
    boxes = np.hstack([corners, corners + random.uniform(10, 60, (CANDIDATES, 2))])
    points, scores = random.uniform(0, 600, (CANDIDATES, 10)), random.uniform(0.3, 1, CANDIDATES)
    given = (one.astype(np.float32) for one in (boxes, points, scores))
    letterbox = Letterbox.of(WIDTH, HEIGHT, 0.5)
    assert 0 < len(benchmark(decode_detections, *given, letterbox, 0.3)) <= CANDIDATES


def test_generator_tiny(
    benchmark: Benchmark, tiny_weights: Callable[[int], Path], face: ImageArray
) -> None:
    """Time what surrounds the network: batches, transfers and conversions of four faces."""
    generator = FaceGenerator(open_generator(str(tiny_weights(128)), backend="torch"), 4)
    assert len(benchmark(generator.restore, [face] * 4)) == 4


def test_detector_small_frame(benchmark: Benchmark, hopper: ImageArray) -> None:
    detector = create_detector("centerface", DetectorSettings(scale=1.0, backend="torch"))
    assert len(benchmark(detector.detect, [hopper])[0]) == 1


def test_write_image(benchmark: Benchmark, frame: ImageArray, tmp_path: Path) -> None:
    benchmark(write_image, tmp_path / "frame.png", frame)
    assert (tmp_path / "frame.png").stat().st_size > 0
