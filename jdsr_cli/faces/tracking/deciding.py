"""What a frame shows of a track, once as much is known as will be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jdsr_cli.faces.detection import Detection
from jdsr_cli.faces.tracking.results import TrackedFace
from jdsr_cli.faces.tracking.smoothing import smooth
from jdsr_cli.faces.tracking.track import Sight, Track


def decide(
    track: Track, index: int, time: float, deviation: float, reach: int
) -> TrackedFace | None:
    """Return the face of a track in a frame, or None where it is not in it.

    Args:
        track: With the sights up to the tracker's delay after the frame.
        index: Number of the frame.
        time: Of the frame, in seconds.
        deviation: Standard deviation of the smoothing in seconds.
        reach: Frames before and after within which sights are used.

    """
    before = [sight for sight in track.sights if sight.index <= index]
    after = [sight for sight in track.sights if sight.index > index]
    exact = before[-1] if before and before[-1].index == index else None
    if track.standing == "rejected":
        # Nothing is filled in for what is not trusted.
        if exact is None:
            return None
        return TrackedFace(track.number, exact.detection, exact.detection, True)
    run = _run(before, after, index, reach)
    if not before and track.standing == "new":
        # It may yet be rejected, and is then not filled in.
        return None
    if not run:
        return None
    near = [sight for sight in run if abs(sight.index - index) <= reach]
    detection = _estimate(near, index, time, deviation, exact)
    raw = None if exact is None else exact.detection
    return TrackedFace(track.number, detection, raw, False)


def last_frame(track: Track, reach: int) -> int:
    """Return the number of the last frame that shows a closed track."""
    return track.seen.index if track.standing == "rejected" else _held_until(track.seen, reach)


def _run(before: Sequence[Sight], after: Sequence[Sight], index: int, reach: int) -> list[Sight]:
    """Return the unbroken run of sights that covers the frame, empty where none does."""
    if before and (before[-1].index == index or (after and after[0].joined)):
        start = len(before) - 1
        while start > 0 and before[start].joined:
            start -= 1
        run, rest = list(before[start:]), after
    elif before and index <= _held_until(before[-1], reach):
        run, rest = [before[-1]], after[:0]
    elif after and index >= _held_since(after[0], reach):
        run, rest = [after[0]], after[1:]
    else:
        return []
    for sight in rest:
        if not sight.joined:
            break
        run.append(sight)
    return run


def _held_until(sight: Sight, reach: int) -> int:
    """Return the last frame after a sight to which it holds: nobody looked until the shot ended."""
    shot = sight.shot
    if shot.last is None or sight.index != shot.last_look:
        return sight.index
    return min(shot.last, sight.index + reach)


def _held_since(sight: Sight, reach: int) -> int:
    """Return the first frame to which a sight holds: nobody looked since the shot began."""
    shot = sight.shot
    if sight.joined or sight.index != shot.first_look:
        return sight.index
    return max(shot.first, sight.index - reach)


def _estimate(
    near: Sequence[Sight], index: int, time: float, deviation: float, exact: Sight | None
) -> Detection:
    if exact is not None and (deviation == 0.0 or len(near) == 1):
        return exact.detection
    times = np.array([sight.time for sight in near])
    values = np.array(
        [[*sight.detection.points, *np.reshape(sight.detection.box, (2, 2))] for sight in near],
        np.float64,
    )
    found = smooth(time, times, values, deviation)
    left, top, right, bottom = found[5:].ravel().tolist()
    box = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
    beside = [
        *[sight.detection.score for sight in near if sight.index <= index][-1:],
        *[sight.detection.score for sight in near if sight.index > index][:1],
    ]
    score = min(beside) if exact is None else exact.detection.score
    nearest = min(near, key=lambda sight: abs(sight.time - time)) if exact is None else exact
    # One look that contradicts a face does not outweigh those around it.
    confirmed = 2 * sum(sight.detection.confirmed for sight in near) >= len(near)
    spread = float(np.median([sight.detection.spread for sight in near]))
    points = found[:5].astype(np.float32)
    turn = nearest.detection.turn
    return Detection(box, points, score, turn, spread=spread, confirmed=confirmed)
