"""People in the picture of a moving camera."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from moving_faces import face, track_numbers

from jdsr_cli.faces.boxes import Boxes
from jdsr_cli.faces.head_appearance import SIDE
from jdsr_cli.faces.tracking import TrackedFrame, Tracker, manager
from jdsr_cli.faces.tracking.association import PredictedTracks, associate
from jdsr_cli.settings import TrackerSettings

APART = 200.0
"""Pixels between two people of 40 px."""
PAN = -200.0
"""Pixels per second by which the picture moves: each second, one comes to where the other was."""


def positions(time: float, pan: float = PAN) -> list[tuple[float, float]]:
    return [(900 + number * APART + pan * time, 120.0 + 30 * number) for number in range(2)]


def tracked(
    times: Sequence[float], shifts: Sequence[tuple[float, float] | None], pan: float = PAN
) -> list[TrackedFrame]:
    tracker, frames = Tracker(TrackerSettings(), 2.0), list[TrackedFrame]()
    for time, shift in zip(times, shifts, strict=True):
        frames += tracker.add(time, [face(*one) for one in positions(time, pan)], shift=shift)
    return frames + tracker.finish()


def known(times: Sequence[float], pan: float = PAN) -> list[tuple[float, float] | None]:
    steps = [after - before for before, after in pairwise(times)]
    return [None, *((pan * step, 0.0) for step in steps)]


@pytest.mark.parametrize("step", [1.0, 0.5, 0.25, 0.2])
@pytest.mark.parametrize("pan", [PAN, 200.0, 90.0])
def test_people_keep_their_tracks_if_the_shift_is_known(step: float, pan: float) -> None:
    times = [number * step for number in range(6)]
    found = tracked(times, known(times, pan), pan)
    assert track_numbers(found) == [(1, 2)] * len(times)
    for frame in found:
        left, right = frame.faces
        assert right.detection.box[0] - left.detection.box[0] == pytest.approx(APART, abs=1.0)


def test_without_the_shift_somebody_else_is_at_the_expected_place() -> None:
    times = [float(number) for number in range(3)]
    assert track_numbers(tracked(times, [None] * 3)) != [(1, 2)] * 3


@pytest.mark.parametrize("unknown", [{1}, {3}, {2, 3}, {1, 2, 4}])
@pytest.mark.parametrize("steps", [(0.5, 0.1), (0.3, 0.04, 0.04), (0.9, 0.2, 0.1, 0.1)])
def test_a_shift_that_is_known_at_times_continues(
    steps: Sequence[float], unknown: set[int]
) -> None:
    """Frames after a short step have no shift; nor do some others, once the pan is known."""
    times = [0.0]
    while len(times) < 16:
        times.append(times[-1] + steps[(len(times) - 1) % len(steps)])
    shifts = known(times)
    for number in range(1, len(times)):
        if times[number] - times[number - 1] < 0.15 or number - 6 in unknown:
            shifts[number] = None
    assert track_numbers(tracked(times, shifts)) == [(1, 2)] * len(times)


def test_a_face_that_is_missed_for_a_frame_moves_with_the_picture() -> None:
    tracker, frames = Tracker(TrackerSettings(), 2.0), list[TrackedFrame]()
    for number in range(6):
        people = [face(*one) for one in positions(number / 2)]
        shift = (PAN / 2, 0.0) if number else None
        frames += tracker.add(number / 2, people[1:] if number == 3 else people, shift=shift)
    frames += tracker.finish()
    assert track_numbers(frames) == [(1, 2)] * 3 + [(2,)] + [(1, 2)] * 2


@pytest.mark.parametrize("unknown", ["none", "searched", "others", "late", "early", "random"])
def test_frames_that_are_not_searched_add_their_shift(
    unknown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    misses = []

    def checked(predicted: PredictedTracks, found: Boxes) -> list[tuple[int, int]]:
        if len(predicted.boxes) == len(found) == 2:
            misses.append(np.abs(predicted.boxes - found).max())
        return associate(predicted, found)

    monkeypatch.setattr(manager, "associate", checked)
    absent = {
        "none": set[int](), "searched": set(range(6, 16, 2)), "others": set(range(7, 16, 2)),
        "late": set(range(8, 16)), "early": set(range(5)), "random": {5, 6, 9, 12, 13, 14},
    }[unknown]  # fmt: skip
    tracker, frames = Tracker(TrackerSettings(), 4.0, every=2), list[TrackedFrame]()
    for number in range(16):
        time, searched = number / 4, number % 2 == 0
        people = [face(*one) for one in positions(time)] if searched else []
        shift = (PAN / 4, 0.0) if number and number not in absent else None
        frames += tracker.add(time, people, searched=searched, shift=shift)
    if unknown != "early":
        assert len(misses) == 7
        assert max(misses) < 1.0
    frames += tracker.finish()
    searched_frames = [numbers for numbers in track_numbers(frames) if numbers]
    assert searched_frames
    if unknown != "early":
        assert all(numbers == (1, 2) for numbers in searched_frames)


@pytest.mark.parametrize("pan", [0.0, PAN, -400.0, 300.0])
@pytest.mark.parametrize("height", [24, 36, 40])
def test_a_walker_who_goes_up_and_down_keeps_the_track_while_the_camera_moves(
    height: int, pan: float
) -> None:
    """The head is expected near its last place, which has moved with the picture."""
    head = np.random.default_rng(0).integers(0, 255, (1, SIDE, SIDE, 3)).astype(np.uint8)
    tracker, frames = Tracker(TrackerSettings(), 5.0), list[TrackedFrame]()
    for number in range(10):
        walker = face(900 + 8 * number + pan * number / 5, 200.0 + height * (number % 2))
        shift = (pan / 5, 0.0) if number else None
        frames += tracker.add(number / 5, [walker], shift=shift, heads=head)
    assert track_numbers(frames + tracker.finish()) == [(1,)] * 10
