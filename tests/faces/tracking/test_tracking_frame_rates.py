"""The same people at other frame rates: all limits are times, none is a number of frames."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from moving_faces import centre, face, track_numbers

from jdsr_cli.faces import Detection
from jdsr_cli.faces.tracking import TrackedFrame, Tracker
from jdsr_cli.settings import MAX_LAG, TrackerSettings

Scene = Callable[[float], Sequence[Detection]]
RATES = (1.0, 2.0, 3.0, 5.0, 12.5, 25.0, 60.0, 120.0, 240.0)


def track_scene(
    scene: Scene, times: Iterable[float], rate: float, **settings: Any
) -> list[TrackedFrame]:
    tracker, tracked = Tracker(TrackerSettings(**settings), rate), list[TrackedFrame]()
    for time in times:
        tracked += tracker.add(time, scene(time))
    return tracked + tracker.finish()


def regular(rate: float, seconds: float) -> list[float]:
    return [number / rate for number in range(max(1, round(rate * seconds)))]


def tracks_in(tracked: Iterable[TrackedFrame]) -> set[int]:
    return {track for frame in track_numbers(tracked) for track in frame}


@pytest.mark.parametrize("velocity", [0.0, 80.0, 210.0, 420.0])
@pytest.mark.parametrize("rate", RATES)
def test_a_walker_is_one_track_at_any_rate(rate: float, velocity: float) -> None:
    times = regular(rate, 4.0)
    tracked = track_scene(lambda time: [face(80 + velocity * time, 120, 53)], times, rate)
    assert track_numbers(tracked) == [(1,)] * len(times)
    assert not any(one.too_short for frame in tracked for one in frame.faces)
    for time, frame in zip(times, tracked, strict=True):
        x, _ = centre(frame.faces[0].detection)
        assert x == pytest.approx(80 + velocity * time, abs=1.0)


@pytest.mark.parametrize("rate", [2.0, 3.0, 5.0, 25.0, 120.0])
def test_people_who_cross_are_not_confused(rate: float) -> None:
    def scene(time: float) -> list[Detection]:
        return [face(60 + 110 * time, 100, 53), face(900 - 110 * time, 128, 57)]

    times = regular(rate, 7.0)
    tracked = track_scene(scene, times, rate)
    assert tracks_in(tracked) == {1, 2}
    by_raw = {id(one.raw): one.track for frame in tracked for one in frame.faces}
    assert len(by_raw) == 2 * len(times)
    for number, frame in enumerate(tracked):
        left, right = sorted(frame.faces, key=lambda one: one.track)
        assert left.detection.width < right.detection.width, number


@pytest.mark.parametrize("rate", [2.0, 5.0, 10.0, 25.0, 120.0])
@pytest.mark.parametrize("absence", [2.0, 3.5])
def test_somebody_else_at_the_same_place_after_two_seconds_is_another_track(
    rate: float, absence: float
) -> None:
    def scene(time: float) -> list[Detection]:
        present = time < 3.0 - 1e-6 or time > 3.0 + absence - 1e-6
        return [face(200, 120, 53)] if present else []

    tracked = track_scene(scene, regular(rate, 9.0), rate)
    assert tracks_in(tracked) == {1, 2}


@pytest.mark.parametrize("distance", [150.0, 230.0, 400.0])
def test_somebody_far_away_is_another_track_where_two_could_be_meant(distance: float) -> None:
    """At 2 frames a second one of two neighbours leaves, and a third person comes."""

    def scene(time: float) -> list[Detection]:
        stays = face(300, 120, 53)
        return [stays, face(300 - distance, 120, 53) if time < 2.0 else face(300 + 4 * 53, 120, 53)]

    tracked = track_scene(scene, regular(2.0, 4.0), 2.0)
    assert tracks_in(tracked) == {1, 2, 3}


def test_a_frame_every_four_seconds_does_not_join_distant_faces() -> None:
    tracked = track_scene(lambda time: [face(100 + 40 * time, 80)], regular(0.25, 40.0), 0.25)
    assert len(tracks_in(tracked)) == 10


@pytest.mark.parametrize("nominal", [2.0, 13.5, 25.0])
@pytest.mark.parametrize("slow", [0.5, 0.4, 1.0])
def test_a_rate_that_changes_in_the_clip_ends_no_track(nominal: float, slow: float) -> None:
    before = [slow * number for number in range(5)]
    fast = [before[-1] + number / 25 for number in range(1, 76)]
    after = [fast[-1] + slow * number for number in range(1, 6)]
    times = before + fast + after
    tracked = track_scene(lambda time: [face(60 + 90 * time, 100, 53)], times, nominal)
    assert track_numbers(tracked) == [(1,)] * len(times)
    assert [frame.ended for frame in tracked] == [()] * (len(times) - 1) + [(1,)]


@pytest.mark.parametrize("nominal", [2.0, 13.5, 25.0])
def test_a_gap_of_a_quarter_second_is_filled_at_any_nominal_rate(nominal: float) -> None:
    times = [0.5 * number for number in range(4)]
    times += [times[-1] + number / 25 for number in range(1, 60)]
    gap = range(20, 26)
    tracker, tracked = Tracker(TrackerSettings(), nominal), list[TrackedFrame]()
    for number, time in enumerate(times):
        tracked += tracker.add(time, [] if number in gap else [face(100, 80)])
    tracked += tracker.finish()
    assert track_numbers(tracked) == [(1,)] * len(times)


@pytest.mark.parametrize("rate", [2.0, 5.0, 10.0, 25.0, 60.0, 120.0, 240.0])
@pytest.mark.parametrize(("seen", "least", "short"), [
    (0.5, 0.3, False), (0.5, 0.9, True), (1.5, 0.9, False), (1.0, 0.9, False),
])  # fmt: skip
def test_a_track_is_short_by_its_time(rate: float, seen: float, least: float, short: bool) -> None:
    tracked = track_scene(
        lambda time: [face(100, 80)] if 2.0 <= time + 1e-6 < 2.0 + seen else [],
        regular(rate, 6.0),
        rate,
        min_track=least,
    )
    shown = [one.too_short for frame in tracked for one in frame.faces]
    assert shown == [short] * math.ceil(seen * rate - 1e-6)


@pytest.mark.parametrize(("rate", "needed"), [
    (1.0, 1), (2.0, 1), (10.0, 1), (20.0, 2), (24000 / 1001, 2), (25.0, 2), (30.0, 2), (60.0, 4),
    (120.0, 8),
])  # fmt: skip
def test_frames_that_a_person_must_be_seen_by_default(rate: float, needed: int) -> None:
    for count in {needed, max(1, needed - 1)}:
        times = regular(rate, 4.0 if rate > 2 else 10.0)
        first = len(times) // 2
        chosen = set(times[first : first + count])
        tracked = track_scene(
            lambda time, chosen=chosen: [face(100, 80)] if time in chosen else [], times, rate
        )
        short = {one.too_short for frame in tracked for one in frame.faces}
        assert short == {count < needed}


def test_detections_with_misses_between_them_count_as_single_frames() -> None:
    def scene(time: float) -> list[Detection]:
        return [face(100, 80)] if round(25 * time) in (25, 28) else []

    for least, short in ((0.08, False), (0.12, True)):
        tracked = track_scene(scene, regular(25.0, 4.0), 25.0, min_track=least)
        assert {one.too_short for frame in tracked for one in frame.faces} == {short}


def test_frames_that_wait_are_bounded_by_time_and_by_number() -> None:
    def waiting(rate: float, nominal: float, **settings: Any) -> int:
        tracker = Tracker(TrackerSettings(**settings), nominal)
        given = returned = most = 0
        for time in regular(rate, 4.0):
            returned += len(tracker.add(time, []))
            given += 1
            most = max(most, given - returned)
        assert len(tracker.finish()) == given - returned
        return most

    assert waiting(25.0, 25.0) == 7
    assert waiting(25.0, 2.0) <= 20
    assert waiting(120.0, 120.0) == 30
    assert waiting(240.0, 240.0) == 60
    assert waiting(25.0, 90000.0) == 30
    assert waiting(1000.0, 1000.0, min_track=0.9) == MAX_LAG


@pytest.mark.parametrize("rate", [1.0, 2.0, 2.5])
def test_faces_are_not_smoothed_with_those_of_half_a_second_ago(rate: float) -> None:
    turn = np.array([0.0, 150.0, 300.0, 150.0, 0.0, 150.0, 300.0, 150.0])
    times = [number / rate for number in range(len(turn))]
    scene = {time: face(100 + x, 80, 53) for time, x in zip(times, turn, strict=True)}
    tracked = track_scene(lambda time: [scene[time]], times, rate)
    for time, frame in zip(times, tracked, strict=True):
        for one in frame.faces:
            np.testing.assert_allclose(one.detection.points, scene[time].points, atol=1e-3)


@pytest.mark.parametrize("rate", [25.0, 60.0, 120.0])
def test_the_appearance_follows_within_the_same_time(rate: float) -> None:
    tracker, tracked = Tracker(TrackerSettings(), rate), list[TrackedFrame]()
    seconds = 1.2
    for number in range(round(2 * seconds * rate)):
        turn = min(number / rate / seconds, 1.0) * 1.2
        embedding = np.array([[np.cos(turn), np.sin(turn)]])
        tracked += tracker.add(number / rate, [face(100, 80)], embeddings=embedding)
    assert tracks_in(tracked + tracker.finish()) == {1}
