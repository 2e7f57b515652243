"""The search of frames between key frames, near the faces of their neighbours."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bright_squares import WIDTH, Squares, frame

from jdsr_cli.faces import Detection
from jdsr_cli.faces.detection.near_tracks import (
    NearTrackDetector,
    key_frame_interval,
    search_interval,
)
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.settings import DetectorSettings


class Refinement:
    """Leaves all faces as they are, and counts them."""

    def __init__(self) -> None:
        self.faces = 0

    def __call__(self, image: np.ndarray, faces: list[Detection]) -> list[Detection]:
        self.faces += len(faces)
        return faces


class Search:
    """A detector with its counters."""

    def __init__(self) -> None:
        self.network, self.refinement = Squares(), Refinement()
        settings = DetectorSettings(scale=1.0)
        self.detector = NearTrackDetector(NetworkDetector(self.network, settings), self.refinement)

    def __call__(
        self, frames: Sequence[np.ndarray], after: np.ndarray | None = None, **options: Any
    ) -> list[list[float] | None]:
        """Return the left edges of the faces of each frame, sorted."""
        found = self.detector.detect(frames, after, **options)
        return [None if one is None else sorted(face.box[0] for face in one) for one in found]


def assert_near(
    found: list[list[float] | None], expected: list[list[int]], error: float = 2.5
) -> None:
    for mine, true in zip(found, expected, strict=True):
        assert mine is not None
        assert mine == pytest.approx(true, abs=error)


def test_a_face_that_moves_is_found_in_every_frame() -> None:
    search, steps = Search(), [100 + 12 * number for number in range(9)]
    frames = [frame((x, 100)) for x in steps]
    assert_near(search(frames[:8], frames[8]), [[x] for x in steps[:8]])
    assert search.network.whole == 2
    assert search.refinement.faces == 2


def test_faces_that_appear_or_leave_between_key_frames_are_found() -> None:
    search = Search()
    coming = [frame((300, 100)) if number >= 3 else frame() for number in range(9)]
    assert_near(search(coming[:8], coming[8]), [[]] * 3 + [[300]] * 5)
    search = Search()
    leaving = [frame((300, 100)) if number < 5 else frame() for number in range(9)]
    assert_near(search(leaving[:8], leaving[8]), [[300]] * 5 + [[]] * 3)


def test_two_faces_that_come_and_go_are_kept_apart() -> None:
    search = Search()
    frames = [frame((60 + 8 * n, 60), (360 - 8 * n, 200)) for n in range(9)]
    expected = [sorted([60 + 8 * n, 360 - 8 * n]) for n in range(8)]
    assert_near(search(frames[:8], frames[8]), expected)


def test_a_face_that_is_hidden_for_some_frames_is_found_where_it_moved_to() -> None:
    shown = [0, 1, 2, 5, 6]
    frames = [frame((60 + 30 * n, 100)) if n in shown else frame() for n in range(9)]
    expected = [[60 + 30 * n] if n in shown else [] for n in range(8)]
    assert_near(Search()(frames[:8], frames[8]), expected)


def test_a_face_that_both_passes_find_counts_once() -> None:
    """The window of the wide face, which the second pass finds, shows the narrow one as well."""
    frames, expected = [], []
    for n in range(9):
        image = frame((100 + 4 * n, 100), side=20)
        wide = [142 + 4 * n] if n >= 4 else []
        for x in wide:
            image[100:130, x : x + 30] = 220
        frames.append(image)
        expected.append([100 + 4 * n, *wide])
    assert_near(Search()(frames[:8], frames[8]), expected[:8])


def test_a_small_face_beside_a_large_one_is_searched_at_its_own_scale() -> None:
    frames, expected = [], []
    for n in range(9):
        image = frame((40 + 4 * n, 60), side=160)
        small = [230 + 4 * n] if n < 6 else []
        for x in small:
            image[100:114, x : x + 14] = 220
        frames.append(image)
        expected.append([40 + 4 * n, *small])
    assert_near(Search()(frames[:8], frames[8]), expected[:8], 4.5)


def test_faces_that_the_border_of_a_window_cuts_keep_their_width() -> None:
    search = Search()
    frames = [frame((100 + 3 * n, 100), (185 + 3 * n, 100)) for n in range(9)]
    for faces in search.detector.detect(frames[:8], frames[8]):
        assert faces is not None
        assert [face.width for face in faces] == pytest.approx([39, 39], abs=3)


@pytest.mark.parametrize(("side", "window"), [(16, 96), (40, 128), (100, 128)])
def test_windows_fit_the_width_of_the_face(side: int, window: int) -> None:
    search = Search()
    frames = [frame((100 + 3 * n, 100), side=side) for n in range(9)]
    assert_near(search(frames[:8], frames[8]), [[100 + 3 * n] for n in range(8)])
    assert search.network.sides == {window}


def test_nothing_is_searched_where_nothing_changes() -> None:
    search = Search()
    still = [frame((200, 100))] * 8
    for _ in range(3):
        assert_near(search(still, still[0]), [[200]] * 8)
    assert search.network.whole == 1
    assert search.network.windows == 0
    assert_near(search(still, still[0], afresh=True), [[200]] * 8)
    assert search.network.whole == 2


def test_faces_are_refined_again_until_their_result_holds() -> None:
    """Only a refinement that moves the landmarks is repeated."""
    frames = [frame((100 + 12 * n, 100)) for n in range(9)]

    def moved(image: np.ndarray, faces: list[Detection]) -> list[Detection]:
        calls.append(len(faces))
        return [replace(face, points=face.points + np.float32(1)) for face in faces]

    def rejected(image: np.ndarray, faces: list[Detection]) -> list[Detection]:
        return [replace(face, spread=np.inf) for face in moved(image, faces)]

    def unconfirmed(image: np.ndarray, faces: list[Detection]) -> list[Detection]:
        calls.append(len(faces))
        return [replace(face, confirmed=False) for face in faces]

    for refine, expected in ((moved, 9), (rejected, 2), (unconfirmed, 2)):
        calls: list[int] = []
        network = NetworkDetector(Squares(), DetectorSettings(scale=1.0))
        found = NearTrackDetector(network, refine).detect(frames[:8], frames[8])
        assert sum(calls) == expected
        for faces in found:
            assert faces is not None
            assert [face.confirmed for face in faces] == [refine is not unconfirmed]
            assert [np.isinf(face.spread) for face in faces] == [refine is rejected]


def test_a_face_in_a_still_picture_that_changes_elsewhere_is_kept() -> None:
    search = Search()
    frames = [frame((200, 100), (20 + 10 * n, 240)) for n in range(9)]
    assert_near(search(frames[:8], frames[8]), [sorted([200, 20 + 10 * n]) for n in range(8)])
    assert search.network.windows <= 8


def test_the_last_frame_of_a_scene_is_a_key_frame() -> None:
    search = Search()
    frames = [frame() for _ in range(4)] + [frame((100, 100))]
    assert_near(search(frames), [[]] * 4 + [[100]])
    assert_near(search([frame((50, 50))]), [[50]])


def test_only_some_frames_between_key_frames_are_searched() -> None:
    search = Search()
    frames = [frame((100 + 5 * n, 100)) for n in range(9)]
    found = search(frames[:8], frames[8], every=4)
    assert [number for number, faces in enumerate(found) if faces is not None] == [0, 4]
    assert_near([found[0], found[4]], [[100], [120]])


def test_a_run_that_begins_at_a_key_frame_finds_the_same() -> None:
    frames = [frame((40 + 9 * n, 100), (400 - 3 * n, 40)) for n in range(25)]
    whole, resumed = Search(), Search()
    whole(frames[:8], frames[8])
    expected = [
        whole(frames[8:16], frames[16], afresh=True), whole(frames[16:24], frames[24]),
    ]  # fmt: skip
    later = [resumed(frames[16:24], frames[24])]
    assert later == expected[1:]


def test_a_face_at_the_border_stays_inside_the_frame() -> None:
    search = Search()
    frames = [frame((440 + 4 * n, 100)) for n in range(9)]
    for faces in search.detector.detect(frames[:8], frames[8]):
        assert faces is not None
        for face in faces:
            assert 0 <= face.box[0] < face.box[2] <= WIDTH - 1


@pytest.mark.parametrize(("rate", "frames"), [(2, 1), (5, 1), (6, 2), (12, 4), (25, 8), (60, 8)])
def test_key_frames_are_as_near_as_people_move(rate: float, frames: int) -> None:
    assert key_frame_interval(rate) == frames
    assert search_interval(rate, sparse=False) == 1
    assert search_interval(rate, sparse=True) == max(1, frames // 2)
