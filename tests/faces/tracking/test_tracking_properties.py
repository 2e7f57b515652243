"""Properties that hold for any sequence of frames."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_faces import face
from numpy.typing import NDArray

from jdsr_cli.faces import Detection
from jdsr_cli.faces.tracking import TrackedFrame, Tracker
from jdsr_cli.settings import TrackerSettings


@dataclass(frozen=True)
class InputFrame:
    time: float
    faces: tuple[Detection, ...]
    searched: bool
    cut: bool
    embeddings: NDArray[np.float64] | None


positions = st.tuples(
    st.sampled_from([0.0, 30.0, 55.0, 200.0]), st.floats(-15, 15), st.sampled_from([16.0, 40.0])
)


@st.composite
def sequences(draw: st.DrawFn) -> list[InputFrame]:
    frames, time = [], draw(st.floats(-100, 100))
    with_embeddings = draw(st.booleans())
    for _ in range(draw(st.integers(0, 30))):
        time += draw(st.sampled_from([0.001, 0.04, 0.04, 0.04, 0.07, 0.4, 3.0, 100.0]))
        searched = draw(st.sampled_from([True, True, True, False]))
        drawn = draw(st.lists(positions, max_size=3)) if searched else []
        faces = tuple(
            face(x + offset, 50 + offset / 2, width, score=0.5 + 0.01 * number)
            for number, (x, offset, width) in enumerate(drawn)
        )
        chosen = [draw(st.integers(0, 4)) for _ in faces]
        embeddings = np.eye(5, 4)[chosen].reshape(-1, 4) if with_embeddings else None
        cut = draw(st.integers(0, 11)) == 0
        frames.append(InputFrame(time, faces, searched, cut, embeddings))
    return frames


options = st.builds(
    TrackerSettings,
    min_track=st.sampled_from([0.0, 0.06, 0.12, 0.2]),
    bridge=st.sampled_from([0.0, 0.1, 0.25, 2.0]),
    lost=st.sampled_from([0.0, 0.3, 1.0]),
    smoothing=st.sampled_from([0.0, 0.05, 0.1]),
    reidentify_within=st.sampled_from([0.0, 30.0]),
)


def run(
    frames: list[InputFrame], chosen: TrackerSettings, every: int, finish: bool = True
) -> tuple[list[TrackedFrame], int]:
    tracker = Tracker(chosen, 25.0, every=every)
    tracked = []
    for number, one in enumerate(frames):
        now = tracker.add(
            one.time, one.faces, searched=one.searched, cut=one.cut, embeddings=one.embeddings
        )
        tracked += now
        assert len(tracked) <= max(0, number + 1 - tracker.lag)
    return tracked + (tracker.finish() if finish else []), tracker.lag


def comparable(frames: list[TrackedFrame]) -> list[object]:
    return [
        (
            frame.index,
            frame.ended,
            [
                (
                    one.track,
                    one.detection.box,
                    one.detection.points.tobytes(),
                    one.detection.score,
                    id(one.raw),
                    one.too_short,
                )
                for one in frame.faces
            ],
        )
        for frame in frames
    ]


@settings(deadline=None, max_examples=150)
@given(sequences(), options, st.sampled_from([1, 3]))
def test_every_detection_becomes_exactly_one_face(
    frames: list[InputFrame], chosen: TrackerSettings, every: int
) -> None:
    tracked, _ = run(frames, chosen, every)
    assert [frame.index for frame in tracked] == list(range(len(frames)))
    too_short: dict[int, bool] = {}
    ended: set[int] = set()
    for one, frame in zip(frames, tracked, strict=True):
        raw = [id(shown.raw) for shown in frame.faces if shown.raw is not None]
        assert sorted(raw) == sorted(id(detection) for detection in one.faces)
        tracks = [shown.track for shown in frame.faces]
        assert tracks == sorted(set(tracks))
        assert not ended & set(tracks)
        for shown in frame.faces:
            assert too_short.setdefault(shown.track, shown.too_short) == shown.too_short
            assert np.isfinite(shown.detection.box).all()
            assert np.isfinite(shown.detection.points).all()
            assert shown.detection.points.dtype == np.float32
            assert shown.raw is None or shown.raw.score == shown.detection.score
        assert not ended & set(frame.ended)
        ended |= set(frame.ended)
    assert ended == set(too_short)


@settings(deadline=None, max_examples=80)
@given(sequences(), options, st.integers(0, 30))
def test_a_frame_depends_on_no_frame_beyond_the_lag_and_runs_are_repeatable(
    frames: list[InputFrame], chosen: TrackerSettings, length: int
) -> None:
    tracked, lag = run(frames, chosen, 1)
    assert comparable(run(frames, chosen, 1)[0]) == comparable(tracked)
    part, _ = run(frames[:length], chosen, 1, finish=False)
    assert len(part) <= max(0, min(length, len(frames)) - lag)
    assert comparable(part) == comparable(tracked[: len(part)])


@settings(deadline=None, max_examples=40)
@given(sequences(), options)
def test_faces_without_smoothing_are_those_of_the_detector(
    frames: list[InputFrame], chosen: TrackerSettings
) -> None:
    unsmoothed = TrackerSettings(
        chosen.min_track, chosen.bridge, chosen.lost, 0.0, chosen.reidentify_within
    )
    for frame in run(frames, unsmoothed, 1)[0]:
        for one in frame.faces:
            assert one.raw is None or one.detection is one.raw
