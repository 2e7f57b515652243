from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from moving_faces import appearance, centre, face, track_frames, track_numbers, track_of

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Detection
from jdsr_cli.faces.tracking import TrackedFrame, Tracker
from jdsr_cli.settings import TrackerSettings

Frames = list[list[Detection]]


def create_tracker(rate: float = 25.0, every: int = 1, **settings: Any) -> Tracker:
    return Tracker(TrackerSettings(**settings), rate, every=every)


def test_a_moving_face_is_one_track() -> None:
    tracked = track_frames(create_tracker(), [[face(100 + 3 * k, 80)] for k in range(40)])
    assert [frame.index for frame in tracked] == list(range(40))
    assert track_numbers(tracked) == [(1,)] * 40
    assert [frame.ended for frame in tracked] == [()] * 39 + [(1,)]
    assert not any(one.too_short for frame in tracked for one in frame.faces)


def test_frames_are_returned_after_the_lag_and_the_lag_is_bounded() -> None:
    tracker = create_tracker()
    assert tracker.lag == 7
    counts = [len(tracker.add(k / 25, [])) for k in range(20)]
    assert counts == [0] * 7 + [1] * 13
    assert [frame.index for frame in tracker.finish()] == list(range(13, 20))
    assert tracker.finish() == []
    assert create_tracker(bridge=60.0).lag == 32
    assert create_tracker(90000.0).lag == 30
    assert create_tracker(bridge=0.0, smoothing=0.0, min_track=0.0).lag == 1
    assert create_tracker(bridge=0.0, smoothing=0.0, min_track=0.0, every=5).lag >= 4


def test_crossing_people_keep_their_track_numbers() -> None:
    frames = []
    for k in range(60):
        one, other = face(60 + 5 * k, 100, 40), face(360 - 5 * k, 112, 44)
        hidden = abs(centre(one)[0] - centre(other)[0]) < 30
        frames.append([one] if hidden else [other, one])
    tracked = track_frames(create_tracker(), frames)
    assert track_of(tracked[0], frames[0][1]) == track_of(tracked[-1], frames[-1][1])
    assert track_of(tracked[0], frames[0][0]) == track_of(tracked[-1], frames[-1][0])
    assert {track for frame in track_numbers(tracked) for track in frame} == {1, 2}


def test_neighbours_of_equal_motion_are_not_swapped() -> None:
    frames: Frames = [[face(60 + 9 * k + 50 * n, 90, 36) for n in range(4)] for k in range(30)]
    for k in (9, 15, 16, 22):
        del frames[k][k % 4]
    tracked = track_frames(create_tracker(), frames)
    assert [track_of(tracked[-1], one) for one in frames[-1]] == [1, 2, 3, 4]
    assert track_numbers(tracked) == [(1, 2, 3, 4)] * 30


def test_small_fast_faces_at_a_low_frame_rate_are_tracked() -> None:
    frames = [[face(20 + 30 * k, 50, 20), face(20 + 30 * k, 150, 20)] for k in range(12)]
    assert track_numbers(track_frames(create_tracker(5.0), frames, 5.0)) == [(1, 2)] * 12


def test_a_short_gap_is_interpolated() -> None:
    frames: Frames = [[face(100 + 4 * k, 80, score=0.9 - 0.01 * k)] for k in range(20)]
    for k in range(8, 14):
        frames[k] = []
    tracked = track_frames(create_tracker(), frames)
    assert track_numbers(tracked) == [(1,)] * 20
    for k in range(8, 14):
        (one,) = tracked[k].faces
        assert one.raw is None
        assert one.detection.score == pytest.approx(0.76)
        assert centre(one.detection) == pytest.approx((100 + 4 * k, 80), abs=0.2)
        np.testing.assert_allclose(one.detection.points, face(100 + 4 * k, 80).points, atol=0.2)


def test_a_longer_gap_is_not_filled_but_the_track_continues() -> None:
    frames: Frames = [[face(100, 80)] for _ in range(40)]
    for k in range(10, 20):
        frames[k] = []
    assert (
        track_numbers(track_frames(create_tracker(), frames))
        == [(1,)] * 10 + [()] * 10 + [(1,)] * 20
    )
    assert track_numbers(track_frames(create_tracker(bridge=0.0), frames)) == track_numbers(
        track_frames(create_tracker(), frames)
    )


def test_a_face_undetected_for_too_long_starts_another_track() -> None:
    frames: Frames = [[face(100, 80)] for _ in range(60)]
    for k in range(20, 40):
        frames[k] = []
    tracked = track_frames(create_tracker(lost=0.5), frames)
    assert track_numbers(tracked)[40:] == [(2,)] * 20
    assert sum(frame.ended == (1,) for frame in tracked) == 1
    assert tracked[-1].ended == (2,)
    assert track_numbers(track_frames(create_tracker(lost=2.0), frames))[40:] == [(1,)] * 20


def test_a_rarely_detected_track_ends_early() -> None:
    frames: Frames = [[face(100, 80)], [face(100, 80)], *[[] for _ in range(18)], [face(101, 80)]]
    tracked = track_frames(create_tracker(min_track=0.0), frames)
    assert track_numbers(tracked)[-1] == (2,)


def test_short_tracks_are_returned_and_marked() -> None:
    frames: Frames = [[face(100, 80)] for _ in range(30)]
    spurious = face(300, 90)
    frames[12] = [spurious, *frames[12]]
    tracked = track_frames(create_tracker(), frames)
    marked = [one for frame in tracked for one in frame.faces if one.too_short]
    assert [one.raw for one in marked] == [spurious]
    assert marked[0].detection is spurious
    assert track_of(tracked[12], frames[12][1]) == 1
    assert not any(one.too_short for frame in track_frames(create_tracker(min_track=0.0), frames)
                   for one in frame.faces)  # fmt: skip


def test_a_short_track_is_marked_in_all_its_frames() -> None:
    frames: Frames = [[face(100, 80)] if k in (3, 4, 5) else [] for k in range(30)]
    for needed, short in ((0.12, False), (0.16, True)):
        tracked = track_frames(create_tracker(min_track=needed), frames)
        assert [one.too_short for frame in tracked for one in frame.faces] == [short] * 3


@pytest.mark.parametrize("length", [1, 2, 4])
def test_the_minimum_track_length_is_limited_by_the_length_of_the_clip(length: int) -> None:
    tracked = track_frames(create_tracker(min_track=0.2), [[face(100, 80)] for _ in range(length)])
    assert [one.too_short for frame in tracked for one in frame.faces] == [False] * length
    tracked = track_frames(
        create_tracker(min_track=0.2), [[face(100, 80)], []] if length > 1 else [[]]
    )
    assert all(one.too_short for frame in tracked for one in frame.faces)


def test_each_picture_of_a_slide_show_is_treated_as_a_still() -> None:
    tracker, tracked = create_tracker(), list[TrackedFrame]()
    for k in range(12):
        tracked += tracker.add(k * 2.0, [face(100 + 50 * (k % 3), 80)], cut=k % 2 == 0)
    tracked += tracker.finish()
    assert track_numbers(tracked) == [(k + 1,) for k in range(12)]
    assert not any(one.too_short for frame in tracked for one in frame.faces)


def test_tracks_and_smoothing_end_at_a_cut() -> None:
    tracker, tracked = create_tracker(), list[TrackedFrame]()
    for k in range(30):
        tracked += tracker.add(k / 25, [face(100 + 2 * (k >= 15), 80)], cut=k == 15)
    tracked += tracker.finish()
    assert track_numbers(tracked) == [(1,)] * 15 + [(2,)] * 15
    assert tracked[14].ended == (1,)
    for frame in tracked:
        x = 100 if frame.index < 15 else 102
        assert centre(frame.faces[0].detection) == pytest.approx((x, 80), abs=1e-6)


@pytest.mark.parametrize(("every", "length"), [(2, 30), (5, 33), (7, 30), (32, 100)])
def test_frames_without_detection_are_interpolated(every: int, length: int) -> None:
    tracker, tracked = create_tracker(every=every, bridge=0.0), list[TrackedFrame]()
    for k in range(length):
        detections = [face(100 + k, 80)] if k % every == 0 else []
        tracked += tracker.add(k / 25, detections, searched=k % every == 0)
    tracked += tracker.finish()
    assert track_numbers(tracked) == [(1,)] * length
    last = (length - 1) // every * every
    for frame in tracked[: last + 1]:
        assert centre(frame.faces[0].detection) == pytest.approx((100 + frame.index, 80), abs=0.3)
        assert (frame.faces[0].raw is None) == (frame.index % every > 0)


def test_frames_without_detection_at_the_ends_of_a_shot_use_the_nearest() -> None:
    tracker, tracked = create_tracker(every=4), list[TrackedFrame]()
    for k in range(30):
        detect = k % 4 == 0
        tracked += tracker.add(
            k / 25, [face(100, 80)] if detect else [], searched=detect, cut=k == 14
        )
    tracked += tracker.finish()
    assert track_numbers(tracked) == [(1,)] * 14 + [(2,)] * 16
    assert tracked[13].ended == (1,)
    assert tracked[29].ended == (2,)


def test_a_face_missed_by_a_detection_is_not_extrapolated() -> None:
    tracker, tracked = create_tracker(every=4), list[TrackedFrame]()
    for k in range(30):
        detect = k % 4 == 0
        detections = [face(100, 80)] if detect and k < 12 else []
        tracked += tracker.add(k / 25, detections, searched=detect)
    tracked += tracker.finish()
    assert track_numbers(tracked) == [(1,)] * 9 + [()] * 21


def test_a_pause_in_the_recording_ends_tracks() -> None:
    times = [k / 25 for k in range(20)] + [900 + k / 25 for k in range(20)]
    tracker, tracked = create_tracker(), list[TrackedFrame]()
    for time in times:
        tracked += tracker.add(time, [face(100, 80)])
    tracked += tracker.finish()
    assert track_numbers(tracked) == [(1,)] * 20 + [(2,)] * 20


def test_one_frame_every_few_seconds_can_be_tracked() -> None:
    tracked = track_frames(create_tracker(0.25), [[face(100 + k, 80)] for k in range(10)], 0.25)
    assert track_numbers(tracked) == [(1,)] * 10


def test_a_face_of_different_appearance_is_another_person() -> None:
    one, other = appearance(1, 0), appearance(0, 1)
    tracker, tracked = create_tracker(), list[TrackedFrame]()
    for k in range(30):
        tracked += tracker.add(k / 25, [face(100, 80)], embeddings=(one if k < 15 else other)[None])
    tracked += tracker.finish()
    assert track_numbers(tracked) == [(1,)] * 15 + [(2,)] * 15


def track_after_absence(absence: float, similarity: float, **settings: Any) -> tuple[int, ...]:
    """Return the track of a person who reappears elsewhere after `absence` seconds."""
    former, now = appearance(1, 0), appearance(similarity, (1 - similarity**2) ** 0.5)
    tracker, tracked = create_tracker(**settings), list[TrackedFrame]()
    for k in range(20):
        tracked += tracker.add(k / 25, [face(100, 80)], embeddings=former[None])
    gap = round(25 * absence)
    for k in range(20, 20 + gap):
        tracked += tracker.add(k / 25, [], embeddings=np.zeros((0, 4)))
    for k in range(20 + gap, 40 + gap):
        tracked += tracker.add(k / 25, [face(400, 200)], embeddings=now[None])
    tracked += tracker.finish()
    assert all(not frame.faces for frame in tracked[20 : 20 + gap])
    assert sorted(track for frame in tracked for track in frame.ended) == sorted(
        {track for frame in track_numbers(tracked) for track in frame}
    )
    return track_numbers(tracked)[-1]


def test_a_lost_person_is_reidentified_by_appearance() -> None:
    assert track_after_absence(4.0, 0.8) == (1,)
    assert track_after_absence(0.2, 0.8) == (1,)
    assert track_after_absence(4.0, 0.3) == (2,)
    assert track_after_absence(4.0, 0.8, reidentify_within=2.0) == (2,)


def test_zero_embeddings_are_ignored() -> None:
    tracker, tracked = create_tracker(), list[TrackedFrame]()
    for k in range(20):
        tracked += tracker.add(
            k / 25, [face(100, 80), face(200, 80)], embeddings=np.zeros((2, 4), np.float32)
        )
    assert track_numbers(tracked + tracker.finish()) == [(1, 2)] * 20


@pytest.mark.parametrize(
    "invalid",
    [
        {"min_track": -0.1},
        {"min_track": 1.0},
        {"bridge": -0.1},
        {"bridge": float("nan")},
        {"lost": float("inf")},
        {"smoothing": -1.0},
        {"reidentify_within": 1e9},
    ],
)
def test_settings_out_of_range_are_refused(invalid: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        TrackerSettings(**invalid)


@pytest.mark.parametrize(
    ("rate", "every"), [(0.0, 1), (-25.0, 1), (float("nan"), 1), (25.0, 0), (25.0, 33)]
)
def test_rates_out_of_range_are_refused(rate: float, every: int) -> None:
    with pytest.raises(UsageError):
        Tracker(TrackerSettings(), rate, every=every)


@pytest.mark.parametrize(
    ("time", "faces", "more", "message"),
    [
        (0.0, [], {}, "not later"),
        (float("nan"), [], {}, "not later"),
        (0.1, [face(5, 5)], {"searched": False}, "without detection"),
        (0.1, [face(float("nan"), 5)], {}, "finite"),
        (0.1, [face(5, 5)], {"embeddings": np.ones((2, 4))}, "embeddings"),
        (0.1, [face(5, 5)], {"embeddings": np.full((1, 4), np.inf)}, "embeddings"),
        (0.1, [face(5, 5)], {"embeddings": np.ones((1, 3))}, "after such of 4"),
    ],
)
def test_invalid_frames_are_refused_with_their_number(
    time: float, faces: list[Detection], more: dict[str, Any], message: str
) -> None:
    tracker = create_tracker()
    tracker.add(0.0, [face(5, 5)], embeddings=np.ones((1, 4)))
    with pytest.raises(UsageError, match=message) as caught:
        tracker.add(time, faces, **more)
    assert caught.value.where == "frame 1"
    tracker.add(0.2, [])
    assert len(tracker.finish()) == 2
    with pytest.raises(UsageError, match="finished"):
        tracker.add(1.0, [])


def test_one_unconfirmed_detection_does_not_outweigh_its_neighbours() -> None:
    frames = [[face(100 + k, 80)] for k in range(20)]
    frames[9] = [replace(frames[9][0], confirmed=False)]
    tracked = track_frames(create_tracker(), frames)
    assert all(one.detection.confirmed for frame in tracked for one in frame.faces)
    unconfirmed = [
        [replace(one, confirmed=k == 9) for one in some] for k, some in enumerate(frames)
    ]
    tracked = track_frames(create_tracker(), unconfirmed)
    assert not any(one.detection.confirmed for frame in tracked for one in frame.faces)


def test_smoothed_and_bridged_faces_keep_the_rotation_of_their_detections() -> None:
    frames = [[replace(face(100 + k, 80, turn=np.pi), turn=180.0)] for k in range(20)]
    frames[9] = []
    tracked = track_frames(create_tracker(), frames)
    assert track_numbers(tracked) == [(1,)] * 20
    assert tracked[9].faces[0].raw is None
    assert all(one.detection.turn == 180.0 for frame in tracked for one in frame.faces)
