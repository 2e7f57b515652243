"""Heads are expected near their faces also where no face is detected."""

from __future__ import annotations

import numpy as np
import pytest

from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.faces.tracking import TrackedFace
from jdsr_cli.restoration.head_positions import HOLD, Head, HeadTimeline

SIZE = 30.0


def face(track: int, x: float, *, raw: float | None = None) -> TrackedFace:
    points = (TEMPLATE * 0.2).astype(np.float32)
    smoothed = Detection((x, 50.0, x + SIZE, 50.0 + SIZE), points, 0.9)
    found = smoothed
    if raw is not None:
        found = Detection((raw, 50.0, raw + SIZE, 50.0 + SIZE), points, 0.9)
    return TrackedFace(track, smoothed, found, too_short=False)


def heads(
    faces: dict[int, list[TrackedFace]], frames: int, rate: float = 25.0, cuts: tuple[int, ...] = ()
) -> list[list[Head]]:
    timeline, found = HeadTimeline(), []
    for number in range(frames):
        given = (number, number / rate, faces.get(number, []))
        found += timeline.add(*given, cut=number in cuts)
    found += timeline.finish()
    assert [number for number, _ in found] == list(range(frames))
    return [one for _, one in found]


def shown(found: list[list[Head]]) -> list[int]:
    return [number for number, one in enumerate(found) if one]


@pytest.mark.parametrize("rate", [10.0, 25.0, 60.0])
def test_a_head_is_covered_before_and_after_its_detections(rate: float) -> None:
    reach = int(HOLD * rate)
    found = heads({100: [face(1, 20.0)], 101: [face(1, 20.0)]}, 240, rate)
    assert shown(found) == list(range(100 - reach, 102 + reach))


@pytest.mark.parametrize("rate", [0.5, 1.0, 1.9])
def test_the_frames_beside_a_detection_are_covered_at_low_rates(rate: float) -> None:
    assert shown(heads({5: [face(1, 20.0)]}, 12, rate)) == [4, 5, 6]


def test_a_gap_of_a_track_is_covered_from_both_ends() -> None:
    found = heads({10: [face(1, 20.0)], 45: [face(1, 200.0)]}, 60)
    assert [len(one) for one in found[11:23]] == [1] * 12
    assert [len(one) for one in found[23:33]] == [0] * 10
    assert [one[0].face[0] for one in found[33:45]] == [200.0] * 12
    both = heads({10: [face(1, 20.0)], 30: [face(1, 200.0)]}, 60)
    assert [one.face[0] for one in both[20]] == [20.0, 200.0]


@pytest.mark.parametrize("speed", [-4.0, 0.0, 3.0])
def test_motion_is_extrapolated_and_the_last_place_stays_covered(speed: float) -> None:
    moving = {number: [face(1, 200.0 + speed * number)] for number in range(30, 40)}
    found = heads(moving, 60)
    for number, last in [*((n, 39) for n in range(40, 52)), *((n, 30) for n in range(18, 30))]:
        ((head,),) = [found[number]]
        expected, held = 200.0 + speed * number, 200.0 + speed * last
        for x in (expected, held):
            assert head.face[0] <= x + 1e-6
            assert head.face[2] >= x + SIZE - 1e-6
            assert head.head[0] <= x - 0.4 * SIZE
            assert head.head[2] >= x + 1.4 * SIZE


def test_nothing_is_carried_over_a_cut() -> None:
    found = heads({20: [face(1, 20.0)], 30: [face(2, 80.0)]}, 60, cuts=(15, 25))
    assert shown(found[:25]) == list(range(15, 25))
    assert {one.track for part in found[25:] for one in part} == {2}


def test_smoothed_and_detected_place_are_both_covered() -> None:
    ((head,),) = heads({0: [face(1, 20.0, raw=35.0)]}, 1)
    assert head.face == (20.0, 50.0, 65.0, 80.0)


def test_frames_wait_only_as_long_as_needed() -> None:
    timeline = HeadTimeline()
    waiting = 0
    for number in range(1000):
        given = [face(number // 7, 10.0)]
        waiting += 1 - len(list(timeline.add(number, number / 25, given, cut=False)))
        assert waiting <= HOLD * 25 + 1
        assert len(timeline._sightings) < 12
