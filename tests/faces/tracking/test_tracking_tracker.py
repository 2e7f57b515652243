from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from moving_faces import appearance, centre, face, follow, numbers, owner

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Detection
from jdsr_cli.faces.tracking import TrackedFrame, Tracker
from jdsr_cli.settings import MAX_LAG, TrackerSettings

Frames = list[list[Detection]]


def tracker(rate: float = 25.0, every: int = 1, **settings: Any) -> Tracker:
    return Tracker(TrackerSettings(**settings), rate, every=every)


def test_a_walker_is_one_person() -> None:
    told = follow(tracker(), [[face(100 + 3 * k, 80)] for k in range(40)])
    assert [frame.index for frame in told] == list(range(40))
    assert numbers(told) == [(1,)] * 40
    assert [frame.ended for frame in told] == [()] * 39 + [(1,)]
    assert not any(one.too_short for frame in told for one in frame.faces)


def test_frames_are_decided_the_lag_later_and_the_lag_is_bounded() -> None:
    follower = tracker()
    assert follower.lag == 7
    counts = [len(follower.add(k / 25, [])) for k in range(20)]
    assert counts == [0] * 7 + [1] * 13
    assert [frame.index for frame in follower.finish()] == list(range(13, 20))
    assert follower.finish() == []
    assert tracker(1000.0).lag == tracker(bridge=60.0).lag == MAX_LAG
    assert tracker(bridge=0.0, smoothing=0.0, min_track=1).lag == 1
    assert tracker(bridge=0.0, smoothing=0.0, min_track=1, every=5).lag >= 4


def test_people_who_cross_keep_their_numbers() -> None:
    frames = []
    for k in range(60):
        one, other = face(60 + 5 * k, 100, 40), face(360 - 5 * k, 112, 44)
        hidden = abs(centre(one)[0] - centre(other)[0]) < 30
        frames.append([one] if hidden else [other, one])
    told = follow(tracker(), frames)
    assert owner(told[0], frames[0][1]) == owner(told[-1], frames[-1][1])
    assert owner(told[0], frames[0][0]) == owner(told[-1], frames[-1][0])
    assert {track for frame in numbers(told) for track in frame} == {1, 2}


def test_neighbours_who_move_alike_are_not_swapped() -> None:
    frames: Frames = [[face(60 + 9 * k + 50 * n, 90, 36) for n in range(4)] for k in range(30)]
    for k in (9, 15, 16, 22):
        del frames[k][k % 4]
    told = follow(tracker(), frames)
    assert [owner(told[-1], one) for one in frames[-1]] == [1, 2, 3, 4]
    assert numbers(told) == [(1, 2, 3, 4)] * 30


def test_small_fast_faces_at_few_frames_a_second_are_followed() -> None:
    frames = [[face(20 + 30 * k, 50, 20), face(20 + 30 * k, 150, 20)] for k in range(12)]
    assert numbers(follow(tracker(5.0), frames, 5.0)) == [(1, 2)] * 12


def test_a_gap_is_filled_in_between_its_neighbours() -> None:
    frames: Frames = [[face(100 + 4 * k, 80, score=0.9 - 0.01 * k)] for k in range(20)]
    for k in range(8, 14):
        frames[k] = []
    told = follow(tracker(), frames)
    assert numbers(told) == [(1,)] * 20
    for k in range(8, 14):
        (one,) = told[k].faces
        assert one.raw is None
        assert one.detection.score == pytest.approx(0.76)
        assert centre(one.detection) == pytest.approx((100 + 4 * k, 80), abs=0.2)
        np.testing.assert_allclose(one.detection.points, face(100 + 4 * k, 80).points, atol=0.2)


def test_a_longer_gap_stays_open_but_the_person_is_the_same() -> None:
    frames: Frames = [[face(100, 80)] for _ in range(40)]
    for k in range(10, 20):
        frames[k] = []
    assert numbers(follow(tracker(), frames)) == [(1,)] * 10 + [()] * 10 + [(1,)] * 20
    assert numbers(follow(tracker(bridge=0.0), frames)) == numbers(follow(tracker(), frames))


def test_whoever_is_unseen_for_too_long_is_someone_else() -> None:
    frames: Frames = [[face(100, 80)] for _ in range(60)]
    for k in range(20, 40):
        frames[k] = []
    told = follow(tracker(lost=0.5), frames)
    assert numbers(told)[40:] == [(2,)] * 20
    assert sum(frame.ended == (1,) for frame in told) == 1
    assert told[-1].ended == (2,)
    assert numbers(follow(tracker(lost=2.0), frames))[40:] == [(1,)] * 20


def test_a_face_that_was_hardly_seen_is_not_waited_for() -> None:
    frames: Frames = [[face(100, 80)], [face(100, 80)], *[[] for _ in range(18)], [face(101, 80)]]
    told = follow(tracker(min_track=1), frames)
    assert numbers(told)[-1] == (2,)


def test_short_tracks_are_told_and_marked() -> None:
    frames: Frames = [[face(100, 80)] for _ in range(30)]
    odd = face(300, 90)
    frames[12] = [odd, *frames[12]]
    told = follow(tracker(), frames)
    marked = [one for frame in told for one in frame.faces if one.too_short]
    assert [one.raw for one in marked] == [odd]
    assert marked[0].detection is odd
    assert owner(told[12], frames[12][1]) == 1
    assert not any(one.too_short for frame in follow(tracker(min_track=1), frames)
                   for one in frame.faces)  # fmt: skip


def test_a_track_that_is_too_short_is_so_in_all_its_frames() -> None:
    frames: Frames = [[face(100, 80)] if k in (3, 4, 5) else [] for k in range(30)]
    for needed, short in ((3, False), (4, True)):
        told = follow(tracker(min_track=needed), frames)
        assert [one.too_short for frame in told for one in frame.faces] == [short] * 3


@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_still_or_short_clip_needs_no_more_than_it_has(length: int) -> None:
    told = follow(tracker(min_track=5), [[face(100, 80)] for _ in range(length)])
    assert [one.too_short for frame in told for one in frame.faces] == [False] * length
    told = follow(tracker(min_track=5), [[face(100, 80)], []] if length > 1 else [[]])
    assert all(one.too_short for frame in told for one in frame.faces)


def test_each_picture_of_a_slide_show_counts_as_a_still() -> None:
    follower, told = tracker(), list[TrackedFrame]()
    for k in range(12):
        told += follower.add(k * 2.0, [face(100 + 50 * (k % 3), 80)], cut=k % 2 == 0)
    told += follower.finish()
    assert numbers(told) == [(k + 1,) for k in range(12)]
    assert not any(one.too_short for frame in told for one in frame.faces)


def test_nothing_goes_across_a_cut() -> None:
    follower, told = tracker(), list[TrackedFrame]()
    for k in range(30):
        told += follower.add(k / 25, [face(100 + 2 * (k >= 15), 80)], cut=k == 15)
    told += follower.finish()
    assert numbers(told) == [(1,)] * 15 + [(2,)] * 15
    assert told[14].ended == (1,)
    for frame in told:
        where = 100 if frame.index < 15 else 102
        assert centre(frame.faces[0].detection) == pytest.approx((where, 80), abs=1e-6)


@pytest.mark.parametrize(("every", "length"), [(2, 30), (5, 33), (7, 30), (32, 100)])
def test_frames_that_were_not_looked_at_are_filled_in(every: int, length: int) -> None:
    follower, told = tracker(every=every, bridge=0.0), list[TrackedFrame]()
    for k in range(length):
        found = [face(100 + k, 80)] if k % every == 0 else []
        told += follower.add(k / 25, found, searched=k % every == 0)
    told += follower.finish()
    assert numbers(told) == [(1,)] * length
    last = (length - 1) // every * every
    for frame in told[: last + 1]:
        assert centre(frame.faces[0].detection) == pytest.approx((100 + frame.index, 80), abs=0.3)
        assert (frame.faces[0].raw is None) == (frame.index % every > 0)


def test_the_edges_of_a_shot_that_were_not_looked_at_show_the_nearest_look() -> None:
    follower, told = tracker(every=4), list[TrackedFrame]()
    for k in range(30):
        look = k % 4 == 0
        told += follower.add(k / 25, [face(100, 80)] if look else [], searched=look, cut=k == 14)
    told += follower.finish()
    assert numbers(told) == [(1,)] * 14 + [(2,)] * 16
    assert told[13].ended == (1,)
    assert told[29].ended == (2,)


def test_a_face_that_a_look_missed_is_not_shown_on() -> None:
    follower, told = tracker(every=4), list[TrackedFrame]()
    for k in range(30):
        look = k % 4 == 0
        found = [face(100, 80)] if look and k < 12 else []
        told += follower.add(k / 25, found, searched=look)
    told += follower.finish()
    assert numbers(told) == [(1,)] * 9 + [()] * 21


def test_a_pause_of_the_recording_parts_people() -> None:
    times = [k / 25 for k in range(20)] + [900 + k / 25 for k in range(20)]
    follower, told = tracker(), list[TrackedFrame]()
    for time in times:
        told += follower.add(time, [face(100, 80)])
    told += follower.finish()
    assert numbers(told) == [(1,)] * 20 + [(2,)] * 20


def test_one_frame_every_few_seconds_can_still_be_followed() -> None:
    told = follow(tracker(0.25), [[face(100 + k, 80)] for k in range(10)], 0.25)
    assert numbers(told) == [(1,)] * 10


def test_a_face_of_clearly_another_look_is_another_person() -> None:
    one, other = appearance(1, 0), appearance(0, 1)
    follower, told = tracker(), list[TrackedFrame]()
    for k in range(30):
        told += follower.add(k / 25, [face(100, 80)], embeddings=(one if k < 15 else other)[None])
    told += follower.finish()
    assert numbers(told) == [(1,)] * 15 + [(2,)] * 15


def seen_again(away: float, like: float, **settings: Any) -> tuple[int, ...]:
    """Track of somebody who comes back elsewhere after `away` seconds, looking `like`."""
    former, now = appearance(1, 0), appearance(like, (1 - like**2) ** 0.5)
    follower, told = tracker(**settings), list[TrackedFrame]()
    for k in range(20):
        told += follower.add(k / 25, [face(100, 80)], embeddings=former[None])
    gap = round(25 * away)
    for k in range(20, 20 + gap):
        told += follower.add(k / 25, [], embeddings=np.zeros((0, 4)))
    for k in range(20 + gap, 40 + gap):
        told += follower.add(k / 25, [face(400, 200)], embeddings=now[None])
    told += follower.finish()
    assert all(not frame.faces for frame in told[20 : 20 + gap])
    assert sorted(track for frame in told for track in frame.ended) == sorted(
        {track for frame in numbers(told) for track in frame}
    )
    return numbers(told)[-1]


def test_a_lost_person_is_found_again_by_appearance() -> None:
    assert seen_again(4.0, 0.8) == (1,)
    assert seen_again(0.2, 0.8) == (1,)
    assert seen_again(4.0, 0.3) == (2,)
    assert seen_again(4.0, 0.8, reidentify_within=2.0) == (2,)


def test_embeddings_of_zeros_say_nothing() -> None:
    follower, told = tracker(), list[TrackedFrame]()
    for k in range(20):
        told += follower.add(
            k / 25, [face(100, 80), face(200, 80)], embeddings=np.zeros((2, 4), np.float32)
        )
    assert numbers(told + follower.finish()) == [(1, 2)] * 20


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_track": 0},
        {"min_track": 33},
        {"bridge": -0.1},
        {"bridge": float("nan")},
        {"lost": float("inf")},
        {"smoothing": -1.0},
        {"reidentify_within": 1e9},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        TrackerSettings(**wrong)


@pytest.mark.parametrize(
    ("rate", "every"), [(0.0, 1), (-25.0, 1), (float("nan"), 1), (25.0, 0), (25.0, 33)]
)
def test_rates_out_of_range_are_refused(rate: float, every: int) -> None:
    with pytest.raises(UsageError):
        Tracker(TrackerSettings(), rate, every=every)


@pytest.mark.parametrize(
    ("time", "faces", "more", "what"),
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
def test_frames_that_cannot_be_are_refused_by_number(
    time: float, faces: list[Detection], more: dict[str, Any], what: str
) -> None:
    follower = tracker()
    follower.add(0.0, [face(5, 5)], embeddings=np.ones((1, 4)))
    with pytest.raises(UsageError, match=what) as caught:
        follower.add(time, faces, **more)
    assert caught.value.where == "frame 1"
    follower.add(0.2, [])
    assert len(follower.finish()) == 2
    with pytest.raises(UsageError, match="finished"):
        follower.add(1.0, [])


def test_one_look_that_contradicts_a_face_does_not_outweigh_those_around_it() -> None:
    frames = [[face(100 + k, 80)] for k in range(20)]
    frames[9] = [replace(frames[9][0], confirmed=False)]
    told = follow(tracker(), frames)
    assert all(one.detection.confirmed for frame in told for one in frame.faces)
    doubted = [[replace(one, confirmed=k == 9) for one in some] for k, some in enumerate(frames)]
    told = follow(tracker(), doubted)
    assert not any(one.detection.confirmed for frame in told for one in frame.faces)


def test_smoothed_and_bridged_faces_keep_the_turn_at_which_they_were_found() -> None:
    frames = [[replace(face(100 + k, 80, turn=np.pi), turn=180.0)] for k in range(20)]
    frames[9] = []
    told = follow(tracker(), frames)
    assert numbers(told) == [(1,)] * 20
    assert told[9].faces[0].raw is None
    assert all(one.detection.turn == 180.0 for frame in told for one in frame.faces)
