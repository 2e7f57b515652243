"""Boxes and landmarks of a face, smoothed along its track without lag.

At the time of a frame a parabola is fitted to the detections before and after it, by least
squares with Gaussian weights in time (local polynomial regression; Cleveland 1979, Fan and
Gijbels 1996). As it is fitted to both sides it does not lag behind, and it follows accelerated
motion. At the ends of a track, where one side is missing, a parabola would overshoot: there it
is a straight line. Single detections that lie far off are left out.

The position of a face and its shape, the landmarks relative to their mean, are fitted separately:
heads bob quickly as people walk, but hardly turn or grow. Where a motion is too quick for the fit,
which shows in residuals beyond the noise of the detector, the fit is repeated with a narrower
window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.faces.tracking.track import Observation, Reach, Track, TrackedFace

Numbers = NDArray[np.float64]

WINDOW = 2.5
"""Standard deviations beyond which a detection does not count."""
NARROWER = 0.7
"""Factor by which the window shrinks where the motion is too quick for it."""
QUICK = 1.8
"""Residuals this many times the noise mean that the motion is too quick. Errors of a detector last
for some frames, which `_estimate_noise` does not measure: at 1.4 and below, their jitter stays."""
MIN_NOISE = 0.002
"""Least noise of detected points, in face widths."""
OUTLIER = 5.0
"""Error in multiples of the noise above which a detection is an outlier."""
SPARSE = 0.6
"""Least standard deviation of the window as a share of the time between the detections before
and after the frame: both must count."""
RELATED = 0.34
"""Seconds between a detection and its neighbours beyond which they say nothing about its noise:
people turn and stop within that time."""


def smooth(time: float, times: Numbers, values: Numbers, deviation: float) -> Numbers:
    """Estimate the coordinates of a face at a time.

    Args:
        time: Of the frame, in seconds; between the first and last of `times`, or near them.
        times: (n,) ascending times of detections, n at least 1.
        values: (n, 7, 2) in pixels: five points, and two corners of the box.
        deviation: Standard deviation of the Gaussian weights in seconds; 0 interpolates.

    Returns:
        (7, 2) in pixels.

    """
    here = int(np.searchsorted(times, time))
    if deviation == 0.0 or len(times) == 1 or not times[0] <= time <= times[-1]:
        return _between(time, times, values, here)
    if float(np.diff(times[max(here - 1, 0) : here + 2]).min()) > RELATED:
        return _between(time, times, values, here)
    centre: Numbers = values[:, :5].mean(axis=1)
    shape = (values - centre[:, None]).reshape(len(values), -1)
    floor = MIN_NOISE * float((values[:, 6, 0] - values[:, 5, 0]).mean())
    inliers, noises = np.ones(len(times), np.bool_), []
    for part in (centre, shape[:, :10]):
        noise, fine = _estimate_noise(times, part, floor)
        noises.append(noise)
        inliers &= fine
    times, centre, shape = times[inliers], centre[inliers], shape[inliers]
    here = int(np.searchsorted(times, time))
    low, high = max(here - 1, 0), here + 1 if times[here] == time else here
    least = SPARSE * float(np.diff(times[low : high + 1]).max())
    width = max(deviation, least)
    middle = _fit_adaptively(times - time, centre, width, least, noises[0])
    return middle + _fit_adaptively(times - time, shape, width, least, noises[1]).reshape(7, 2)


def _between(time: float, times: Numbers, values: Numbers, here: int) -> Numbers:
    """Interpolate linearly; beyond the ends the nearest value holds."""
    if here < len(times) and times[here] == time:
        return np.asarray(values[here], np.float64)
    if here == 0 or here == len(times):
        return np.asarray(values[min(here, len(times) - 1)], np.float64)
    share = (time - times[here - 1]) / (times[here] - times[here - 1])
    return np.asarray(values[here - 1] * (1 - share) + values[here] * share, np.float64)


def _fit_adaptively(
    offsets: Numbers, values: Numbers, width: float, least: float, noise: float
) -> Numbers:
    """Return the fit (k,) at `offsets` 0 to values (n, k); residuals are those of the first ten.

    Args:
        offsets: (n,) seconds from the frame.
        values: (n, k).
        width: Standard deviation of the weights in seconds; reduced where the motion is too quick.
        least: Least width, so that neighbours on both sides count.
        noise: Standard deviation of the detector's noise in a coordinate.

    """
    while True:
        estimate, residual = _fit(offsets / width, values)
        if residual <= QUICK * noise or width <= least:
            return estimate
        width = max(NARROWER * width, least)


def _fit(offset: Numbers, values: Numbers) -> tuple[Numbers, float]:
    """Return the fit (k,) at offset 0 and the size of its residuals in a coordinate."""
    near = np.abs(offset) <= WINDOW
    offset, values = offset[near], values[near]
    weight = np.exp(-0.5 * offset**2)
    sides = min(int((offset <= 0.0).sum()), int((offset >= 0.0).sum()))
    design = offset[:, None] ** np.arange(3 if sides >= 3 else 2)
    scaled = design * weight[:, None]
    middle = values[int(np.argmin(np.abs(offset)))]
    coefficients = np.linalg.solve(scaled.T @ design, scaled.T @ (values - middle))
    missed = np.mean((values - middle - design @ coefficients)[:, :10] ** 2, axis=1)
    estimate: Numbers = coefficients[0] + middle
    return estimate, math.sqrt(float(weight @ missed / weight.sum()))


def _estimate_noise(times: Numbers, flat: Numbers, floor: float) -> tuple[float, NDArray[np.bool_]]:
    """Return the detector's noise in a coordinate of (n, k), and which of n are inliers.

    Each detection is compared with the cubic through the two before and the two after it, which
    cancels smooth motion; the median keeps the noise independent of single bad frames. A
    detection whose error exceeds those of its neighbours and `OUTLIER` times the noise is an
    outlier.
    """
    inliers = np.ones(len(times), np.bool_)
    if len(times) < 5:
        return floor, inliers
    others = np.stack([times[:-4], times[1:-3], times[3:-1], times[4:]])
    distance = times[2:-2] - others
    share = np.ones_like(others)
    for one in range(4):
        for other in range(4):
            if one != other:
                share[one] *= distance[other] / (others[one] - others[other])
    missed = flat[2:-2] - (
        share[0, :, None] * flat[:-4]
        + share[1, :, None] * flat[1:-3]
        + share[2, :, None] * flat[3:-1]
        + share[3, :, None] * flat[4:]
    )
    off = np.sqrt(np.mean(missed**2, axis=1) / (1.0 + np.sum(share**2, axis=0)))
    noise = max(float(np.median(off)), floor)
    beside = np.maximum(np.append(off[1:], 0.0), np.insert(off[:-1], 0, 0.0))
    inliers[2:-2] = (off <= OUTLIER * noise) | (off < beside)
    return noise, inliers


def face_in_frame(
    track: Track, index: int, time: float, deviation: float, reach: Reach
) -> TrackedFace | None:
    """Return the face of a track in a frame, or None where the frame does not show it.

    Args:
        track: With the observations up to the tracker's delay after the frame.
        index: Number of the frame.
        time: Time of the frame, in seconds.
        deviation: Standard deviation of the smoothing in seconds.
        reach: How far before and after the frame observations are used.

    """
    before = [one for one in track.observations if one.index <= index]
    after = [one for one in track.observations if one.index > index]
    exact = before[-1] if before and before[-1].index == index else None
    if track.status == "rejected":
        # Rejected tracks are not filled in.
        if exact is None:
            return None
        return TrackedFace(track.number, exact.detection, exact.detection, True)
    run = _run(before, after, index, reach)
    if not before and track.status == "new":
        # The track may still be rejected.
        return None
    if not run:
        return None
    near = [one for one in run if reach.covers(one.index - index, one.time - time)]
    detection = _interpolated(near, index, time, deviation, exact)
    raw = None if exact is None else exact.detection
    return TrackedFace(track.number, detection, raw, False)


def last_frame(track: Track, reach: Reach) -> int:
    """Return the number of the last frame that shows a closed track."""
    return track.last.index if track.status == "rejected" else _held_until(track.last, reach)


def _run(
    before: Sequence[Observation], after: Sequence[Observation], index: int, reach: Reach
) -> list[Observation]:
    """Return the unbroken run of observations that covers the frame, empty where none does."""
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
    for one in rest:
        if not one.joined:
            break
        run.append(one)
    return run


def _held_until(one: Observation, reach: Reach) -> int:
    """Return the last frame for which an observation holds if it is the last one of its scene."""
    scene = one.scene
    if scene.last is None or one.index != scene.last_scan:
        return one.index
    return min(scene.last, one.index + reach.frames)


def _held_since(one: Observation, reach: Reach) -> int:
    """Return the first frame for which an observation holds if it is the first one of its scene."""
    scene = one.scene
    if one.joined or one.index != scene.first_scan:
        return one.index
    return max(scene.first, one.index - reach.frames)


def _interpolated(
    near: Sequence[Observation],
    index: int,
    time: float,
    deviation: float,
    exact: Observation | None,
) -> Detection:
    if exact is not None and (deviation == 0.0 or len(near) == 1):
        return exact.detection
    times = np.array([one.time for one in near])
    values = np.array(
        [[*one.detection.points, *np.reshape(one.detection.box, (2, 2))] for one in near],
        np.float64,
    )
    found = smooth(time, times, values, deviation)
    left, top, right, bottom = found[5:].ravel().tolist()
    box = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
    beside = [
        *[one.detection.score for one in near if one.index <= index][-1:],
        *[one.detection.score for one in near if one.index > index][:1],
    ]
    score = min(beside) if exact is None else exact.detection.score
    nearest = min(near, key=lambda one: abs(one.time - time)) if exact is None else exact
    # A single contradicting observation does not outweigh those around it.
    confirmed = 2 * sum(one.detection.confirmed for one in near) >= len(near)
    spread = float(np.median([one.detection.spread for one in near]))
    points = found[:5].astype(np.float32)
    turn = nearest.detection.turn
    return Detection(box, points, score, turn, spread=spread, confirmed=confirmed)
