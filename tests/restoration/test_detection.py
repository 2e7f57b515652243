from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import bright_squares
import numpy as np
import pytest

from jdsr_cli.errors import UsageError
from jdsr_cli.evidence import FileDigest
from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.faces.detection.near_tracks import NearTrackDetector
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.display import SQUARE, Display
from jdsr_cli.faces.head_appearance import head_thumbnails
from jdsr_cli.faces.scene_changes import SceneChange
from jdsr_cli.media import Reader
from jdsr_cli.restoration import scene_search
from jdsr_cli.restoration.frame import (
    Element,
    FrameItem,
    InputFinished,
    InputStarted,
    InputState,
    OpenInput,
)
from jdsr_cli.restoration.request import Request
from jdsr_cli.restoration.scene_search import DetectionPlan, group_size
from jdsr_cli.restoration.stages.detection import detect
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import DetectorSettings

FACE = Detection((40.0, 40.0, 90.0, 90.0), (TEMPLATE * 0.5 + 30.0).astype(np.float32), 0.9)


class OneFaceEach:
    """Detects one face in each frame and records the calls."""

    name = "fake"

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.sizes: set[tuple[int, ...]] = set()

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        self.groups.append(len(images))
        self.sizes |= {image.shape for image in images}
        return [[FACE] for _ in images]


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def opened(name: str = "a") -> OpenInput:
    path = Path(f"{name}.mp4")
    state = InputState(path, Workspace(Path("out"), name, path))
    state.workspace.work.mkdir(parents=True, exist_ok=True)
    # The stage does not read the input.
    reader = cast(Reader, SimpleNamespace(info=SimpleNamespace(frame_rate=25)))
    digest = FileDigest(path.name, 0, "")
    return OpenInput(state, reader, digest, Request({}, {}), SQUARE, None, None, ())


def frame(one: OpenInput, number: int, size: int = 120, level: int = 100) -> FrameItem:
    image = np.full((size, size, 3), level, np.uint8)
    return FrameItem(one, number, number, number, Fraction(number, 25), image)


def stream(one: OpenInput, count: int, first: int = 0, size: int = 120) -> Iterator[Element]:
    yield InputStarted(one)
    for number in range(first, first + count):
        yield frame(one, number, size)
    yield InputFinished(one.state)


def frames(elements: Iterable[Element]) -> list[FrameItem]:
    return [one for one in elements if isinstance(one, FrameItem)]


def cuts(items: Iterable[FrameItem]) -> list[int]:
    return [one.number for one in items if one.detections is not None and one.detections.cut]


def cut_by_mean(least: int, before: np.ndarray, after: np.ndarray, seconds: float) -> SceneChange:
    assert seconds == pytest.approx(0.04)
    return SceneChange(cut=abs(int(before.mean()) - int(after.mean())) > least)


def searched(items: Iterable[FrameItem]) -> list[int]:
    return [one.number for one in items if one.detections is not None and one.detections.searched]


def numbers(elements: Iterable[Element]) -> list[int]:
    return [one.number for one in frames(elements)]


def test_frames_are_detected_in_groups_and_none_is_lost() -> None:
    detector = OneFaceEach()
    output = list(detect(stream(opened(), 20), DetectionPlan(detector)))
    assert detector.groups == [8, 8, 4]
    assert numbers(output) == list(range(20))
    assert isinstance(output[0], InputStarted)
    assert isinstance(output[-1], InputFinished)
    for one in frames(output):
        assert one.detections is not None
        assert one.detections.detections == (FACE,)


def test_groups_are_the_same_in_a_resumed_run() -> None:
    whole, later = OneFaceEach(), OneFaceEach()
    list(detect(stream(opened("a"), 30), DetectionPlan(whole, segment=16)))
    list(detect(stream(opened("b"), 14, first=16), DetectionPlan(later, segment=16)))
    assert whole.groups == [8, 8, *later.groups]


def test_groups_never_span_two_inputs() -> None:
    detector = OneFaceEach()
    first, second = opened("a"), opened("b")
    output = list(detect([*stream(first, 3), *stream(second, 9)], DetectionPlan(detector)))
    assert detector.groups == [3, 8, 1]
    assert [type(one).__name__ for one in output] == [
        *("InputStarted", *["FrameItem"] * 3, "InputFinished"),
        *("InputStarted", *["FrameItem"] * 9, "InputFinished"),
    ]


def test_large_frames_are_detected_in_smaller_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_search, "MAX_GROUP_BYTES", 3 * 120 * 120 * 3)
    detector = OneFaceEach()
    list(detect(stream(opened(), 5), DetectionPlan(detector)))
    assert detector.groups == [2, 2, 1]
    assert group_size(1) == 8
    assert group_size(10**9) == 1


def test_each_nth_frame_is_searched() -> None:
    detector = OneFaceEach()
    output = list(detect(stream(opened(), 20), DetectionPlan(detector, every=3)))
    assert searched(frames(output)) == [0, 3, 6, 9, 12, 15, 18]
    assert sum(detector.groups) == 7
    assert numbers(output) == list(range(20))


def test_faces_in_a_region_have_coordinates_of_the_whole_frame() -> None:
    detector = OneFaceEach()
    output = list(detect(stream(opened(), 1), DetectionPlan(detector, roi=(10, 20, 60, 50))))
    assert detector.sizes == {(50, 60, 3)}
    (item,) = frames(output)
    assert item.detections is not None
    (face,) = item.detections.detections
    assert face.box == (50.0, 60.0, 100.0, 110.0)
    np.testing.assert_allclose(face.points, FACE.points + np.array([10, 20]))


@pytest.mark.parametrize("roi", [None, (10, 20, 60, 50), (30, 0, 90, 120)])
def test_heads_are_those_of_the_faces_in_the_displayed_picture(
    roi: tuple[int, int, int, int] | None,
) -> None:
    one = replace(opened(), display=Display(across=1.0, down=2.0))
    item = frame(one, 0)
    item.image = np.random.default_rng(1).integers(0, 256, item.image.shape, np.uint8)
    plan = DetectionPlan(OneFaceEach(), roi=roi)
    (found,) = frames(detect([InputStarted(one), item, InputFinished(one.state)], plan))
    assert found.detections is not None
    (face,) = found.detections.detections
    expected = head_thumbnails(one.display.squared(item.image), [face.box])
    assert expected.any()
    np.testing.assert_array_equal(found.detections.heads, expected)


def test_a_region_outside_the_frame_fails_that_input_only() -> None:
    first, second = opened("a"), opened("b")
    plan = DetectionPlan(OneFaceEach(), roi=(0, 0, 100, 100))
    both = [*stream(first, 2, size=90), *stream(second, 2, size=120)]
    output = list(detect(both, plan))
    assert isinstance(first.state.error, UsageError)
    assert "--roi" in str(first.state.error)
    assert second.state.error is None
    assert numbers(output) == [0, 1]


def test_a_cut_is_detected_across_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_search, "compare_scenes", partial(cut_by_mean, 50))

    def with_cuts(one: OpenInput) -> Iterator[Element]:
        yield InputStarted(one)
        for number in range(12):
            yield frame(one, number, 60, 200 if 8 <= number < 10 else 20)
        yield InputFinished(one.state)

    output = frames(detect(with_cuts(opened()), DetectionPlan(OneFaceEach(), every=6)))
    assert cuts(output) == [8, 10]
    assert searched(output) == [0, 6, 8, 10]


def test_frames_are_read_lazily() -> None:
    taken = []

    def counted() -> Iterator[Element]:
        for element in stream(opened(), 100):
            taken.append(element)
            yield element

    output = detect(counted(), DetectionPlan(OneFaceEach()))
    next(output)
    next(output)
    assert len(taken) <= 10


def walking(first: int, count: int, *, cut: int | None = None) -> list[FrameItem]:
    """Return frames in which a square moves; from `cut` on another one at another place."""
    clip, items = opened(f"{first}"), []
    for number in range(first, first + count):
        x = 60 + 5 * number if cut is None or number < cut else 400 - 5 * number
        image = bright_squares.frame((x, 100))
        if cut is not None and number >= cut:
            image[:60] = 140
        items.append(FrameItem(clip, number, number, number, Fraction(number, 25), image))
    return items


def near_plan(network: bright_squares.Squares, **options: Any) -> DetectionPlan:
    detector = NetworkDetector(network, DetectorSettings(scale=1.0))
    near = partial(NearTrackDetector, detector, lambda image, faces: faces)
    return DetectionPlan(detector, near_tracks=near, **options)


def edges(items: Sequence[FrameItem], plan: DetectionPlan) -> dict[int, list[float] | None]:
    """Detect the faces of frames; return their left edges by frame, None if not searched."""
    clip = items[0].input
    output = frames(detect([InputStarted(clip), *items, InputFinished(clip.state)], plan))
    assert clip.state.error is None
    assert [one.number for one in output] == [one.number for one in items]
    found: dict[int, list[float] | None] = {}
    for one in output:
        assert one.detections is not None
        boxes = [face.box[0] for face in one.detections.detections]
        found[one.number] = boxes if one.detections.searched else None
    return found


def test_frames_between_key_frames_are_searched_near_faces() -> None:
    network = bright_squares.Squares()
    found = edges(walking(0, 20), near_plan(network))
    assert network.whole == 4  # 0, 8, 16 and the last one
    for number, boxes in found.items():
        assert boxes == pytest.approx([60 + 5 * number], abs=2.5)


def test_a_scene_that_begins_between_key_frames_is_searched_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scene_search, "compare_scenes", partial(cut_by_mean, 10))
    network = bright_squares.Squares()
    items = walking(0, 16, cut=5)
    found = edges(items, near_plan(network))
    assert cuts(items) == [5]
    assert network.whole == 5  # 0 and 4, 5 and 8, and the last one
    for number, boxes in found.items():
        expected = 60 + 5 * number if number < 5 else 400 - 5 * number
        assert boxes == pytest.approx([expected], abs=2.5)


def test_a_resumed_run_has_the_same_detections() -> None:
    plan = near_plan(bright_squares.Squares(), segment=16)
    whole = edges(walking(0, 40), plan)
    later = edges(walking(16, 24), near_plan(bright_squares.Squares(), segment=16))
    assert later == {number: boxes for number, boxes in whole.items() if number >= 16}


def test_a_still_picture_is_searched_once_a_segment() -> None:
    network = bright_squares.Squares()
    items = walking(0, 33)
    for item in items:
        item.image = items[0].image
    found = edges(items, near_plan(network, segment=16))
    assert network.whole == 3
    assert all(boxes == found[0] for boxes in found.values())


def test_few_frames_are_searched_where_that_is_enough() -> None:
    network = bright_squares.Squares()
    found = edges(walking(0, 20), near_plan(network, sparse=True))
    assert [number for number, boxes in found.items() if boxes is not None] == [0, 4, 8, 12, 16, 19]
