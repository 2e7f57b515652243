"""Search of consecutive frames of one scene: key frames as a whole, the others near known faces.

A frame between two key frames is searched in windows around the faces of its neighbour: forward
from the first key frame, then backward from the second for faces that were not found on the way.
A face that neither key frame shows is not found between them, unless it is near another one. Where
the picture does not change, nothing is searched and what was found is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.boxes import box_overlaps
from jdsr_cli.faces.detection.base import Detection
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.rotated import MAX_SPREAD
from jdsr_cli.faces.detection.windows import SAME_FACE, WindowSearch

Frame = NDArray[np.uint8]
Refine = Callable[[Frame, list[Detection]], list[Detection]]

MAX_INTERVAL = 8
"""Most frames from one key frame to the next."""
MAX_SECONDS = 0.34
"""Longest time from one key frame to the next."""
BLOCK = 4
"""Side in pixels of the blocks whose means tell whether the picture changed."""
MAX_NOISE = 8
"""Grey levels by which such a mean changes at most where nothing moves."""
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


def search_interval(frame_rate: float, *, sparse: bool) -> int:
    """Return how many frames lie between two frames that are searched.

    Args:
        frame_rate: Frames per second.
        sparse: Whether one frame between two key frames is enough, for the best shots of people.

    """
    return max(1, key_frame_interval(frame_rate) // 2) if sparse else 1


@dataclass(frozen=True, eq=False)
class _Seed:
    """A face that is searched in the next frame."""

    face: Detection
    """As detected last."""
    means: Frame
    """Block means of the frame in which the face was searched last."""
    result: Detection | None = None
    """The face in that frame after refinement; None if there was none."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Pixels by which it moves from one frame to the next."""
    misses: int = 0
    """Frames in a row in which it was not found."""
    settled: bool = False
    """Whether `result` holds for the face in the next frames as well, wherever it is."""

    def predict(self) -> Detection:
        """Return the face where it is expected in the next frame."""
        frames = self.misses + 1
        left, top, right, bottom = self.face.box
        across, down = (frames * one for one in self.shift)
        box = (left + across, top + down, right + across, bottom + down)
        return replace(self.face, box=box)

    def follow(self, face: Detection, means: Frame) -> _Seed:
        """Return the seed after its face was found."""
        (a, b, c, d), (e, f, g, h) = self.face.box, face.box
        frames = self.misses + 1
        shift = ((e + g - a - c) / 2 / frames, (f + h - b - d) / 2 / frames)
        result = None
        if self.settled and self.result is not None:
            result = replace(face, spread=self.result.spread, confirmed=self.result.confirmed)
        return _Seed(face, means, result, shift, settled=result is not None)

    def miss(self, means: Frame | None = None) -> _Seed:
        """Return the seed after its face was not found, or not searched (without `means`)."""
        searched = self.means if means is None else means
        return replace(self, means=searched, result=None, misses=self.misses + 1)

    def is_unchanged(self, means: Frame) -> bool:
        """Whether the picture is as it was when the face was searched last.

        Compared is the surrounding of the face; of a lost face so much that wherever it appears in
        its window, it changes a part of that.
        """
        left, top, right, bottom = (self.predict() if self.misses else self.face).box
        margin = 1.0 if self.misses else 0.25
        across, down = margin * (right - left), margin * (bottom - top)
        x0, y0 = max(0, int((left - across) / BLOCK)), max(0, int((top - down) / BLOCK))
        x1, y1 = int((right + across) / BLOCK) + 1, int((bottom + down) / BLOCK) + 1
        return not _has_changed(self.means[y0:y1, x0:x1], means[y0:y1, x0:x1])


@dataclass(frozen=True, eq=False)
class _KeyFrame:
    means: Frame
    """Its block means."""
    faces: list[Detection]
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
        self._windows = WindowSearch(network)
        self._refine = refine
        self._known: _KeyFrame | None = None

    def detect(
        self,
        frames: Sequence[Frame],
        following: Frame | None,
        *,
        afresh: bool = False,
        every: int = 1,
    ) -> list[list[Detection] | None]:
        """Detect the faces of each frame, best score first.

        Args:
            frames: RGB uint8 (H, W, 3); the first is a key frame.
            following: The next key frame, which belongs to the same scene and is the first frame
                of the next call; None if the scene ends with `frames`, whose last frame is then
                the second key frame.
            afresh: Search `following` even if it looks like the key frame before it.
            every: Between key frames only each n-th frame is searched, from the first on.

        Returns:
            The faces of each frame; None where it was not searched.

        """
        first = self._known or self._search(frames[0])
        self._known = None
        results: list[list[Detection] | None] = [None] * len(frames)
        results[0] = first.faces
        if following is not None:
            last = self._known = self._search(following, None if afresh else first)
        elif len(frames) > 1:
            last = self._search(frames[-1])
            results[-1] = last.faces
        else:
            return results
        between = [number for number in range(every, len(frames), every) if results[number] is None]
        found = self._search_between(first, [frames[number] for number in between], last)
        for number, faces in zip(between, found, strict=True):
            results[number] = faces
        return results

    def _search(self, frame: Frame, before: _KeyFrame | None = None) -> _KeyFrame:
        """Search a key frame, unless nothing has changed since the one before."""
        means = _block_means(frame)
        if before is not None and not _has_changed(before.means, means):
            # Its block means are kept, so that slow changes add up.
            return before
        found = self._network.detect([frame])[0]
        weak = [_Seed(face, means) for face in found if face.score < self._threshold]
        faces, seeds = self._refined(
            frame, [_Seed(face, means) for face in found if face.score >= self._threshold]
        )
        return _KeyFrame(means, faces, seeds + weak)

    def _search_between(
        self, first: _KeyFrame, frames: Sequence[Frame], last: _KeyFrame
    ) -> list[list[Detection]]:
        """Return the faces of the frames between two key frames."""
        all_means = [_block_means(frame) for frame in frames]
        results: list[list[Detection]] = []
        seeds = first.seeds
        for frame, means in zip(frames, all_means, strict=True):
            faces, seeds = self._search_near(frame, means, seeds, [])
            results.append(faces)
        reached = [seed.predict() for seed in seeds if not seed.misses]
        seeds = [seed for seed in last.seeds if not _is_among(seed.face, reached)]
        for number in reversed(range(len(frames))):
            if not seeds:
                break
            faces, seeds = self._search_near(
                frames[number], all_means[number], seeds, results[number]
            )
            results[number] = sorted(results[number] + faces, key=lambda face: -face.score)
        return results

    def _search_near(
        self, frame: Frame, means: Frame, seeds: Sequence[_Seed], known: Sequence[Detection]
    ) -> tuple[list[Detection], list[_Seed]]:
        """Return the faces near the seeds that are not known yet, and the next seeds."""
        still, moved = _split(seeds, means)
        same = [seed.result for seed in still if seed.result is not None]
        found = [
            face
            for face in self._windows.search(frame, [seed.predict() for seed in moved])
            if not _is_among(face, [*known, *same])
        ]
        followed, lost = _follow(moved, found, means)
        faces, refined = self._refined(frame, [seed for seed in followed if not seed.settled])
        settled = [seed for seed in followed if seed.settled]
        faces += same + [seed.result for seed in settled if seed.result is not None]
        return sorted(faces, key=lambda face: -face.score), still + settled + refined + lost

    def _refined(self, frame: Frame, seeds: Sequence[_Seed]) -> tuple[list[Detection], list[_Seed]]:
        """Return the refined faces of seeds found in a frame, and the seeds with their results."""
        if not seeds:
            return [], []
        faces = self._refine(frame, [seed.face for seed in seeds])
        results = [next((one for one in faces if _is_same(one, seed.face)), None) for seed in seeds]
        return faces, [
            replace(seed, result=result, settled=result is not None and _holds(result, seed.face))
            for seed, result in zip(seeds, results, strict=True)
        ]


def _split(seeds: Iterable[_Seed], means: Frame) -> tuple[list[_Seed], list[_Seed]]:
    """Return the seeds around which the picture is unchanged, and those to be searched."""
    still: list[_Seed] = []
    moved: list[_Seed] = []
    for seed in seeds:
        if not seed.is_unchanged(means):
            moved.append(seed)
        elif not seed.misses:
            still.append(seed)
        elif seed.misses < MAX_MISSES:
            still.append(seed.miss())
    return still, moved


def _follow(
    seeds: Sequence[_Seed], faces: Sequence[Detection], means: Frame
) -> tuple[list[_Seed], list[_Seed]]:
    """Return a seed for each face found, in their order, and those that were just missed."""
    free = list(seeds)
    followed: list[_Seed] = []
    for face in faces:
        nearest = min(free, key=lambda seed: _distance(seed.predict(), face), default=None)
        if nearest is None or _distance(nearest.predict(), face) > 1.0:
            followed.append(_Seed(face, means))
        else:
            free.remove(nearest)
            followed.append(nearest.follow(face, means))
    return followed, [seed.miss(means) for seed in free if seed.misses < MAX_MISSES]


def _holds(result: Detection, face: Detection) -> bool:
    """Return whether refinement left a face as it is, or found its landmarks unreliable."""
    return result.spread > MAX_SPREAD or np.array_equal(result.points, face.points)


def _distance(one: Detection, other: Detection) -> float:
    """Return the distance of the centres of two faces, in widths of the narrower."""
    (a, b, c, d), (e, f, g, h) = one.box, other.box
    apart = float(np.hypot(a + c - e - g, b + d - f - h)) / 2
    return apart / max(1.0, min(one.width, other.width))


def _is_same(one: Detection, other: Detection) -> bool:
    return _is_among(one, [other])


def _is_among(face: Detection, others: Sequence[Detection]) -> bool:
    """Return whether a face overlaps one of the others."""
    if not others:
        return False
    boxes = np.array([other.box for other in others])
    return bool(box_overlaps(np.array([face.box]), boxes).max() >= SAME_FACE)


def _block_means(frame: Frame) -> Frame:
    """Return the means of blocks of 4 x 4 pixels, uint8 (H / 4, W / 4, 3)."""
    height, width = frame.shape[:2]
    size = (max(1, width // BLOCK), max(1, height // BLOCK))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def _has_changed(before: Frame, now: Frame) -> bool:
    """Return whether a block changed by more than noise does."""
    return before.shape != now.shape or (
        before.size > 0 and bool(cv2.absdiff(before, now).max() > MAX_NOISE)
    )
