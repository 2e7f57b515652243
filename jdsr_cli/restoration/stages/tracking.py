"""Stage `track`: associate the detections of each frame with the tracks of people."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from jdsr_cli.faces.display import AspectCheck
from jdsr_cli.faces.scene import MonochromeClassifier
from jdsr_cli.faces.tracking import TrackedFrame, Tracker
from jdsr_cli.restoration.frame import (
    Element,
    FaceItem,
    FrameDetections,
    FrameItem,
    InputFinished,
    InputStarted,
    OpenInput,
)
from jdsr_cli.restoration.stored_detections import detections_file, read_detections
from jdsr_cli.settings import DEFAULT_FRAME_RATE, TrackerSettings


def track(
    stream: Iterable[Element], settings: TrackerSettings, every: Callable[[float], int]
) -> Iterator[Element]:
    """Track the faces of each input.

    Frames wait here until enough of the following ones are known: the tracker's lag.

    Args:
        stream: Frames with their detections.
        settings: Settings of the tracker.
        every: Returns, for a frame rate, how many frames lie between two that are searched.

    """
    tracker: _InputTracker | None = None
    for element in stream:
        state = element.state
        if isinstance(element, InputStarted):
            tracker = state.attempt("track", _InputTracker, element.input, settings, every)
            yield element
        elif tracker is None:
            if isinstance(element, InputFinished):
                yield element
        elif isinstance(element, FrameItem):
            yield from state.attempt("track", tracker.add, element) or []
        else:
            yield from state.attempt("track", tracker.finish) or []
            yield element
            tracker = None


class _InputTracker:
    """The tracker of one input, and the frames that wait for it."""

    def __init__(
        self, opened: OpenInput, settings: TrackerSettings, every: Callable[[float], int]
    ) -> None:
        rate = float(opened.info.frame_rate or DEFAULT_FRAME_RATE)
        self._tracker = Tracker(settings, rate, every=every(rate))
        self._waiting: deque[FrameItem] = deque()
        self._undecided: deque[FrameDetections] = deque()
        self._colours = MonochromeClassifier(2 * self._tracker.lag + 1)
        self._state = opened.state
        display_size = opened.display.size_of(opened.info.width, opened.info.height)
        self._aspect_check = AspectCheck(*display_size)
        self._finished_frames = opened.finished_frames
        for segment in opened.finished:
            stored = detections_file(opened.workspace, segment.number)
            for detections in read_detections(stored, opened.request.run):
                self._update(detections)

    def add(self, item: FrameItem) -> list[FrameItem]:
        """Add a frame and return those whose tracks are decided."""
        assert item.detections is not None
        self._waiting.append(item)
        return self._update(item.detections)

    def finish(self) -> list[FrameItem]:
        """Return the remaining frames after the last one was added."""
        hint = self._aspect_check.hint()
        self._state.detection_notes = () if hint is None else (hint,)
        return self._decided(self._tracker.finish())

    def _update(self, detections: FrameDetections) -> list[FrameItem]:
        self._undecided.append(detections)
        self._aspect_check.add(detections.detections)
        if detections.detections:
            self._colours.add_frame(detections.colour)
        decided = self._tracker.add(
            detections.time,
            detections.detections,
            searched=detections.searched,
            cut=detections.cut,
            shift=detections.shift,
            embeddings=detections.embeddings,
            heads=detections.heads,
        )
        return self._decided(decided)

    def _decided(self, decided: Iterable[TrackedFrame]) -> list[FrameItem]:
        """Set the faces of decided frames; return those that no finished segment holds."""
        items = []
        for one in decided:
            detections = self._undecided.popleft()
            colours = dict(
                zip(map(id, detections.detections), detections.face_colours, strict=True)
            )
            faces = [
                FaceItem(
                    face,
                    self._colours.classify(face.track, detections.time, colours.get(id(face.raw))),
                )
                for face in one.faces
            ]
            for track in one.ended:
                self._colours.drop(track)
            if one.index >= self._finished_frames:
                item = self._waiting.popleft()
                item.faces, item.ended_tracks = faces, one.ended
                items.append(item)
        return items
