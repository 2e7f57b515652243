"""Stage `window`: collect the neighbours of each face along its track, for video.

Frames are delayed by half a window. A window never reaches beyond a segment or a scene, so that
segments can be restored in any order and by any process with the same result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Alignment, estimate_alignment
from jdsr_cli.faces.window import MAX_SECONDS, FaceView, FaceWindow
from jdsr_cli.restoration.frame import Element, FaceItem, FrameItem
from jdsr_cli.restoration.stages.alignment import BETTER_SHOT

ROUNDING = 1e-6
"""Seconds by which the difference of two times in floating point can be off."""


def window(stream: Iterable[Element], frames: int) -> Iterator[Element]:
    """Set the window of each face that is restored and has neighbours.

    Args:
        stream: Frames with aligned faces.
        frames: Most frames of a window, odd: the current one and as many before as after it.

    """
    delayed = _DelayedFrames(frames // 2)
    for element in stream:
        if isinstance(element, FrameItem):
            yield from delayed.add(element)
        else:
            yield from delayed.end()
            yield element
    yield from delayed.end()


@dataclass(eq=False)
class _Viewed:
    """The views of a frame, and the frame itself until it is passed on."""

    seconds: float
    views: dict[int, FaceView]
    """By track."""
    item: FrameItem | None


class _DelayedFrames:
    """Frames that wait for those after them.

    Args:
        reach: Frames of a window before and after the current one.

    """

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._frames: deque[_Viewed] = deque(maxlen=2 * reach + 1)
        self._waiting = 0
        """How many of them, at the end, are not passed on yet."""

    def add(self, item: FrameItem) -> Iterator[FrameItem]:
        """Add a frame; yield those whose window is complete."""
        if item.detections is not None and item.detections.cut:
            yield from self.end()
        views = item.state.attempt("window", _views, item)
        self._frames.append(_Viewed(float(item.time), views or {}, item))
        self._waiting += 1
        if self._waiting > self._reach:
            yield self._pass_on()
        if item.ends_segment:
            yield from self.end()

    def end(self) -> Iterator[FrameItem]:
        """Yield all frames that wait, and begin anew."""
        while self._waiting:
            yield self._pass_on()
        self._frames.clear()

    def _pass_on(self) -> FrameItem:
        """Set the windows of the first frame that waits, and return it."""
        centre = len(self._frames) - self._waiting
        viewed = self._frames[centre]
        item, viewed.item = viewed.item, None
        assert item is not None
        around = list(self._frames)[max(0, centre - self._reach) : centre + self._reach + 1]
        near = [
            one
            for one in around
            if one is not viewed and abs(one.seconds - viewed.seconds) <= MAX_SECONDS + ROUNDING
        ]
        for face in item.faces:
            views = [one.views[face.track] for one in near if face.track in one.views]
            if face.crop is not None and views and face.track in viewed.views:
                face.window = FaceWindow(viewed.views[face.track], views)
        self._waiting -= 1
        return item


def _views(item: FrameItem) -> dict[int, FaceView]:
    """Return the views of the faces of a frame, by track."""
    found = {}
    for face in item.faces:
        alignment = _alignment(item, face)
        if alignment is not None:
            view = FaceView.cut(item.number, float(item.time), item.image, alignment)
            found[face.track] = view
    return found


def _alignment(item: FrameItem, face: FaceItem) -> Alignment | None:
    """Return the alignment of a face that may contribute to others of its track.

    None if it was refused, unless only since better shots of the person exist; interpolated ones
    of these were not aligned before.
    """
    if face.refusal is not None and face.refusal.kind != BETTER_SHOT:
        return None
    if face.alignment is not None:
        return face.alignment
    try:
        return item.input.display.stored_alignment(estimate_alignment(face.detection.points))
    except UsageError:
        return None
