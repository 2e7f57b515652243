from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest

from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.media import Frame
from jdsr_cli.restoration import windows
from jdsr_cli.restoration.clock import StageClock
from jdsr_cli.restoration.windows import examine_frames, gather

FACE = Detection((40.0, 40.0, 90.0, 90.0), (TEMPLATE * 0.5 + 30.0).astype(np.float32), 0.9)


class OneFaceEach:
    """Finds one face in each frame and remembers how it was asked."""

    name = "fake"

    def __init__(self) -> None:
        self.groups: list[int] = []

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        assert len({image.shape for image in images}) == 1
        self.groups.append(len(images))
        return [[FACE] for _ in images]


def frames(*sizes: int) -> Iterator[Frame]:
    for index, size in enumerate(sizes):
        yield Frame(index, index, Fraction(1, 25), np.zeros((size, size, 3), np.uint8))


def run(sizes: Sequence[int], faces: int) -> tuple[list[int], list[list[int]]]:
    detector = OneFaceEach()
    examined = examine_frames(frames(*sizes), detector, StageClock(), side=32, min_face=10.0)
    joined = [[item.frame.index for item in window] for window in gather(examined, faces)]
    return detector.groups, joined


def test_windows_fill_a_batch_and_lose_no_frame() -> None:
    groups, joined = run([120] * 20, faces=6)
    assert groups == [8, 8, 4]
    assert [len(window) for window in joined] == [6, 6, 6, 2]
    assert [index for window in joined for index in window] == list(range(20))


def test_frames_of_another_size_are_detected_apart() -> None:
    groups, joined = run([120, 120, 100, 120], faces=10)
    assert groups == [2, 1, 1]
    assert joined == [[0, 1, 2, 3]]


def test_waiting_frames_are_limited_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "WINDOW_BYTES", 3 * 120 * 120 * 3)
    monkeypatch.setattr(windows, "DETECTION_BYTES", 2 * 120 * 120 * 3)
    groups, joined = run([120] * 7, faces=1000)
    assert groups == [2, 2, 2, 1]
    assert [len(window) for window in joined] == [3, 3, 1]


def test_a_stream_without_frames_gives_no_window() -> None:
    assert run([], faces=4) == ([], [])


def test_frames_are_read_only_as_they_are_needed() -> None:
    taken = []

    def counted() -> Iterator[Frame]:
        for frame in frames(*[120] * 100):
            taken.append(frame.index)
            yield frame

    examined = examine_frames(counted(), OneFaceEach(), StageClock(), side=32, min_face=10.0)
    next(gather(examined, 8))
    assert len(taken) <= 2 * windows.DETECTED_AT_ONCE
