"""Where heads are in each frame, also shortly before and after their faces are detected."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jdsr_cli.faces.anonymisation import Box, head_square, join_boxes
from jdsr_cli.faces.tracking import TrackedFace

HOLD = 0.5
"""Seconds before the first and after the last detection of a face for which its head is expected
near by; so also in gaps of its track."""
MOTION = 0.3
"""Seconds of a track from which the motion of its head is extrapolated."""
MAX_SHIFT = 2.0
"""Largest extrapolated shift, in sides of the head."""


@dataclass(frozen=True)
class Head:
    """A head in a frame, in pixels of the displayed picture."""

    track: int
    """Number of the track."""
    head: Box
    """The whole head, with a margin."""
    face: Box
    """The face."""


@dataclass(frozen=True)
class _Moment:
    """A frame."""

    number: int
    time: float
    scene: int

    def reaches(self, other: _Moment) -> bool:
        """Whether a head that is seen in one frame is expected in the other."""
        near = abs(self.number - other.number) <= 1 or abs(self.time - other.time) <= HOLD
        return near and self.scene == other.scene


@dataclass(frozen=True)
class _Sighting:
    """A head that a frame shows."""

    moment: _Moment
    head: Head

    def extrapolated(self, moment: _Moment, beside: Sequence[_Sighting]) -> Head:
        """Return the head with its place in another frame.

        The result covers both the unchanged place and that to which the motion leads.

        Args:
            moment: The other frame.
            beside: Sightings of the track on the other side, the nearest first.

        """
        near = [one for one in beside if abs(one.moment.time - self.moment.time) <= MOTION]
        if not near or near[-1].moment.time == self.moment.time:
            return self.head
        start = near[-1]
        share = (moment.time - self.moment.time) / (self.moment.time - start.moment.time)
        ours, theirs = np.array(self.head.face), np.array(start.head.face)
        shift = share * ((ours[:2] + ours[2:]) - (theirs[:2] + theirs[2:])) / 2
        limit = MAX_SHIFT * (self.head.head[2] - self.head.head[0])
        right, down = np.clip(shift, -limit, limit).tolist()
        head, face = (
            join_boxes([box, (box[0] + right, box[1] + down, box[2] + right, box[3] + down)])
            for box in (self.head.head, self.head.face)
        )
        return Head(self.head.track, head, face)


class HeadTimeline:
    """The heads of the frames of an input; frames wait until those are known that follow soon."""

    def __init__(self) -> None:
        self._scene = 0
        self._waiting: deque[_Moment] = deque()
        self._sightings: dict[int, list[_Sighting]] = {}

    def add(
        self, number: int, time: float, faces: Sequence[TrackedFace], *, cut: bool
    ) -> Iterator[tuple[int, list[Head]]]:
        """Add a frame; yield the numbers and the heads of those that are decided now.

        Args:
            number: Number of the frame.
            time: Its time in seconds.
            faces: All its faces.
            cut: Whether another scene begins with it.

        """
        self._scene += cut
        moment = _Moment(number, time, self._scene)
        for face in faces:
            boxes = [one.box for one in (face.detection, face.raw) if one is not None]
            boxes = [box for box in boxes if np.isfinite(box).all()]
            if boxes:
                head = join_boxes([head_square(box) for box in boxes])
                seen = _Sighting(moment, Head(face.track, head, join_boxes(boxes)))
                self._sightings.setdefault(face.track, []).append(seen)
        self._waiting.append(moment)
        while len(self._waiting) > 1 and time - self._waiting[0].time > HOLD:
            yield self._next()

    def finish(self) -> Iterator[tuple[int, list[Head]]]:
        """Yield the frames that wait, after the last one was added."""
        while self._waiting:
            yield self._next()

    def _next(self) -> tuple[int, list[Head]]:
        moment = self._waiting.popleft()
        heads = [one for seen in self._sightings.values() for one in _heads_at(moment, seen)]
        oldest = moment.time - HOLD - MOTION
        for track, seen in list(self._sightings.items()):
            kept = [one for one in seen if one.moment.time >= oldest]
            self._sightings[track] = kept
            if not kept:
                del self._sightings[track]
        return moment.number, heads


def _heads_at(moment: _Moment, seen: Sequence[_Sighting]) -> list[Head]:
    """Return where the head of a track is in a frame, at most two places."""
    exact = [one.head for one in seen if one.moment == moment]
    if exact:
        return exact
    before = [one for one in reversed(seen) if one.moment.number < moment.number]
    after = [one for one in seen if one.moment.number > moment.number]
    return [
        side[0].extrapolated(moment, [one for one in side if one.moment.scene == moment.scene])
        for side in (before, after)
        if side and side[0].moment.reaches(moment)
    ]
