"""Search of consecutive frames of one scene: key frames as a whole, the others near known faces.

A frame between two key frames is searched in windows around the faces of its neighbour: forward
from the first key frame, then backward from the second for faces that were not found on the way.
A face that neither key frame shows is not found between them, unless it is near another one.

The windows are cut-outs of one size, in which a face has the width that it has in the whole frame
as the detector receives it, or less where it is wide. From one frame to the next the centre of a
face can move by nearly its width; a person who walks past a camera at 1.5 m/s moves by 0.4 widths
at 25 frames per second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.boxes import box_overlaps, suppress_overlaps
from jdsr_cli.faces.detection.base import Detection, cutout_map
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.rotated import MAX_SPREAD
from jdsr_cli.faces.resampling import resample

Frame = NDArray[np.uint8]
Refine = Callable[[Frame, list[Detection]], list[Detection]]

MAX_INTERVAL = 8
"""Most frames from one key frame to the next."""
MAX_SECONDS = 0.34
"""Longest time from one key frame to the next."""
SIDES = (64, 128)
"""Sides of a window in pixels, for narrow and for wide faces."""
WIDEST = (24.0, 48.0)
"""Longer side in pixels of the box of a face in those windows; wider faces are reduced to it."""
SAME_FACE = 0.3
"""Intersection over union from which two boxes are the same face."""
SEED_SHARE = 0.6
"""Share of the threshold from which a detection of a key frame is searched in the next frames."""
MAX_MISSES = 4
"""Frames in a row for which a face is searched where it was last found."""


def key_frame_interval(frame_rate: float) -> int:
    """Return how many frames lie between two key frames, 1, 2, 4 or 8.

    Powers of two divide the length of a segment, so that a resumed run has the same key frames.

    Args:
        frame_rate: Frames per second.

    """
    interval = MAX_INTERVAL
    while interval > 1 and interval / frame_rate > MAX_SECONDS:
        interval //= 2
    return interval


@dataclass(frozen=True)
class _Seed:
    """A face that is searched in the next frame."""

    face: Detection
    shift: tuple[float, float] = (0.0, 0.0)
    """Pixels by which it moved from the frame before to the frame in which it was found."""
    misses: int = 0
    example: Detection | None = None
    """The face as refined in an earlier frame, where its result holds for the next frames."""

    def predict(self) -> Detection:
        """Return the face where it is expected in the next frame."""
        left, top, right, bottom = self.face.box
        across, down = self.shift
        box = (left + across, top + down, right + across, bottom + down)
        return replace(self.face, box=box)

    def found(self, face: Detection) -> _Seed:
        """Return the seed after its face was found."""
        (a, b, c, d), (e, f, g, h) = self.face.box, face.box
        frames = self.misses + 1
        shift = ((e + g - a - c) / 2 / frames, (f + h - b - d) / 2 / frames)
        return _Seed(face, shift, example=self.example)

    def missed(self) -> _Seed:
        """Return the seed after its face was not found."""
        return replace(self, face=self.predict(), misses=self.misses + 1)


@dataclass(frozen=True)
class _KeyFrame:
    refined: list[Detection]
    """The faces of the frame."""
    seeds: list[_Seed]
    """All that is searched in the neighbouring frames, also what scored too low for a face."""


class NearTrackDetector:
    """Detects faces in the frames of one scene, which are given in runs of consecutive frames.

    Args:
        network: Detects faces in whole frames.
        refine: Completes the detections of a frame: rotated faces, verification.

    """

    def __init__(self, network: NetworkDetector, refine: Refine) -> None:
        self._threshold = network.threshold
        self._network = network.with_threshold(SEED_SHARE * network.threshold)
        self._close = network.at_scale(1.0)
        self._refine = refine
        self._known: _KeyFrame | None = None

    def detect(self, frames: Sequence[Frame], following: Frame | None) -> list[list[Detection]]:
        """Detect the faces of each frame, best score first.

        Args:
            frames: RGB uint8 (H, W, 3); the first is a key frame.
            following: The next key frame, which belongs to the same scene and is the first frame
                of the next call; None if the scene ends with `frames`, whose last frame is then
                the second key frame.

        """
        first = self._known or self._search(frames[0])
        self._known = None
        if following is not None:
            last = self._known = self._search(following)
            return [first.refined, *self._search_between(first, frames[1:], last)]
        if len(frames) == 1:
            return [first.refined]
        last = self._search(frames[-1])
        return [first.refined, *self._search_between(first, frames[1:-1], last), last.refined]

    def _search(self, frame: Frame) -> _KeyFrame:
        found = self._network.detect([frame])[0]
        faces = [face for face in found if face.score >= self._threshold]
        weak = [face for face in found if face.score < self._threshold]
        refined = self._refine(frame, faces)
        seeds = [_Seed(face, example=_example(face, refined)) for face in faces]
        return _KeyFrame(refined, seeds + [_Seed(face) for face in weak])

    def _search_between(
        self, first: _KeyFrame, frames: Sequence[Frame], last: _KeyFrame
    ) -> list[list[Detection]]:
        """Return the faces of the frames between two key frames."""
        results: list[list[Detection]] = []
        seeds = first.seeds
        for frame in frames:
            faces, seeds = self._search_near(frame, seeds, [])
            results.append(faces)
        reached = [seed.predict() for seed in seeds if not seed.misses]
        seeds = [seed for seed in last.seeds if not _is_among(seed.face, reached)]
        for number in reversed(range(len(frames))):
            if not seeds:
                break
            faces, seeds = self._search_near(frames[number], seeds, results[number])
            results[number] = sorted(results[number] + faces, key=lambda face: -face.score)
        return results

    def _search_near(
        self, frame: Frame, seeds: Sequence[_Seed], known: Sequence[Detection]
    ) -> tuple[list[Detection], list[_Seed]]:
        """Return the faces near the seeds that are not known yet, and the seeds that follow."""
        found = [face for face in self._search_windows(frame, seeds) if not _is_among(face, known)]
        followed, lost = _follow(seeds, found)
        settled = [_settled(seed) for seed in followed if seed.example is not None]
        open_seeds = [seed for seed in followed if seed.example is None]
        refined = self._refine(frame, [seed.face for seed in open_seeds])
        open_seeds = [replace(seed, example=_example(seed.face, refined)) for seed in open_seeds]
        faces = sorted(settled + refined, key=lambda face: -face.score)
        return faces, [seed for seed in followed if seed.example is not None] + open_seeds + lost

    def _search_windows(self, frame: Frame, seeds: Sequence[_Seed]) -> list[Detection]:
        """Return the faces in the windows of the seeds."""
        scale = self._network.fine_scale(frame)
        windows = _windows((seed.predict() for seed in seeds), scale)
        found: list[Detection] = []
        for side in SIDES:
            maps = [window.to_frame for window in windows if window.side == side]
            cuts = [resample(frame, matrix, side) for matrix in maps]
            for matrix, faces in zip(maps, self._close.detect(cuts) if cuts else [], strict=True):
                inside = [face for face in faces if _is_whole(face, side, matrix, frame)]
                found += [face.transform(matrix, 0.0, frame) for face in inside]
        if not found:
            return []
        chosen = suppress_overlaps(
            np.array([face.box for face in found]),
            np.array([face.score for face in found]),
            SAME_FACE,
        )
        return [found[index] for index in chosen]


@dataclass(frozen=True, eq=False)
class _Window:
    side: int
    to_frame: NDArray[np.float64]
    """(2, 3), from the window to the frame."""
    zoom: float
    """Pixels of the window for a pixel of the frame."""

    def shows(self, face: Detection) -> bool:
        """Whether the face has room to move in the window, and the width that it should have."""
        left, top, right, bottom = face.box
        x, y = (left + right) / 2, (top + bottom) / 2
        centre = self.to_frame[:, :2] @ np.full(2, (self.side - 1) / 2) + self.to_frame[:, 2]
        reach = self.side / 2 / self.zoom - 1.25 * max(face.width, face.height) / 2
        return bool(np.abs(centre - (x, y)).max() <= 0.6 * reach)


def _windows(faces: Iterable[Detection], scale: float) -> list[_Window]:
    """Return windows for all faces; one that has room in the window of another has none.

    Args:
        faces: Where faces are expected.
        scale: Pixels of the detector's input for a pixel of the frame.

    """
    windows: list[_Window] = []
    for face in sorted(faces, key=lambda one: -one.width):
        longer = max(face.width, face.height)
        narrow = longer * scale <= WIDEST[0]
        side, widest = (SIDES[0], WIDEST[0]) if narrow else (SIDES[1], WIDEST[1])
        face_side = min(longer * scale, widest)
        zoom = face_side / max(longer, 1.0)
        if any(
            window.shows(face) and zoom / 1.5 <= window.zoom <= zoom * 1.5 for window in windows
        ):
            continue
        windows.append(_Window(side, cutout_map(face, 0.0, face_side, side), zoom))
    return windows


def _is_whole(face: Detection, side: int, to_frame: NDArray[np.float64], frame: Frame) -> bool:
    """Return whether the border of the window does not cut off a part of the face."""
    low = to_frame[:, 2]
    high = to_frame[:, :2] @ np.full(2, side - 1.0) + low
    height, width = frame.shape[:2]
    left, top, right, bottom = face.box
    return (
        (left > 0 or low[0] <= 0)
        and (top > 0 or low[1] <= 0)
        and (right < side - 1 or high[0] >= width - 1)
        and (bottom < side - 1 or high[1] >= height - 1)
    )


def _follow(seeds: Sequence[_Seed], faces: Sequence[Detection]) -> tuple[list[_Seed], list[_Seed]]:
    """Return a seed for each face found, in their order, and those that were just missed."""
    free = list(seeds)
    followed: list[_Seed] = []
    for face in faces:
        nearest = min(free, key=lambda seed: _distance(seed.predict(), face), default=None)
        if nearest is None or _distance(nearest.predict(), face) > 1.0:
            followed.append(_Seed(face))
        else:
            free.remove(nearest)
            followed.append(nearest.found(face))
    return followed, [seed.missed() for seed in free if seed.misses < MAX_MISSES]


def _example(face: Detection, refined: Sequence[Detection]) -> Detection | None:
    """Return a face as refined if it is as detected, or if its landmarks are unreliable."""
    for one in refined:
        unreliable = one.spread > MAX_SPREAD and _is_among(face, [one])
        if unreliable or np.array_equal(one.points, face.points):
            return one
    return None


def _settled(seed: _Seed) -> Detection:
    """Return the face of a seed with the result of its example."""
    assert seed.example is not None
    example = seed.example
    return replace(seed.face, spread=example.spread, confirmed=example.confirmed)


def _distance(one: Detection, other: Detection) -> float:
    """Return the distance of the centres of two faces, in widths of the narrower."""
    (a, b, c, d), (e, f, g, h) = one.box, other.box
    apart = float(np.hypot(a + c - e - g, b + d - f - h)) / 2
    return apart / max(1.0, min(one.width, other.width))


def _is_among(face: Detection, others: Sequence[Detection]) -> bool:
    """Return whether a face overlaps one of the others."""
    if not others:
        return False
    boxes = np.array([other.box for other in others])
    return bool(box_overlaps(np.array([face.box]), boxes).max() >= SAME_FACE)
