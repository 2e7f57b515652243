"""Stage `detect`: find the faces of each frame, and the cuts between scenes.

The detections of each segment are stored when it is searched. A segment that another process or an
interrupted run has searched already is not searched again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.restoration.frame import (
    Element,
    FrameDetections,
    FrameItem,
    InputStarted,
    OpenInput,
)
from jdsr_cli.restoration.scene_search import DetectionPlan, FrameBefore, SceneSearch
from jdsr_cli.restoration.shared_segments import SharedResults
from jdsr_cli.restoration.stored_detections import (
    SUFFIX,
    check_frame,
    read_detections,
    write_detections,
)


def detect(stream: Iterable[Element], plan: DetectionPlan) -> Iterator[Element]:
    """Detect the faces of each frame, in groups of frames of one input."""
    detector: _InputDetector | None = None
    for element in stream:
        state = element.state
        if isinstance(element, InputStarted):
            detector = _InputDetector(element.input, plan)
            yield element
        elif detector is None:
            yield element
        elif isinstance(element, FrameItem):
            if detector.is_next_segment(element):
                # What is known is passed on before this stage may wait for another process.
                yield from state.attempt("detect", detector.end_segment, element) or []
                state.attempt("detect", detector.begin_segment, element)
            yield from state.attempt("detect", detector.add, element) or []
        else:
            yield from state.attempt("detect", detector.end_segment, None) or []
            yield element
            detector = None


class _InputDetector:
    """The detections of the frames of one input."""

    def __init__(self, opened: OpenInput, plan: DetectionPlan) -> None:
        self._state = opened.state
        self._segment = plan.segment
        self._run = opened.request.run
        before = None
        if opened.snapshot is not None:
            last = opened.snapshot.part("detect")
            before = FrameBefore(last.values["time"], last.arrays["thumbnail"])
        self._search = SceneSearch(plan, opened.info.frame_rate, before)
        self._shared = SharedResults(opened.workspace, SUFFIX)
        opened.state.resources.callback(self._shared.release_all)
        self._number = -1
        """Of the segment."""
        self._stored: deque[FrameDetections] | None = None
        """The stored detections of the frames of the segment that are still to come; None if this
        process searches it."""
        self._found: list[FrameDetections] = []
        """What was found in the frames of the segment so far, if this process searches it."""

    def is_next_segment(self, item: FrameItem) -> bool:
        """Whether a frame belongs to another segment than the one before."""
        return item.number // self._segment != self._number

    def begin_segment(self, item: FrameItem) -> None:
        """Take the stored detections of the segment of a frame, or claim it."""
        self._number = item.number // self._segment
        self._stored = None
        if self._claim() == "there":
            self._stored = self._read_stored(item)
            if self._stored is None:
                self._shared.remove(self._number)
                self._claim()

    def _read_stored(self, item: FrameItem) -> deque[FrameDetections] | None:
        """Return the stored detections of the segment that begins with a frame.

        None if the file is damaged, or holds those of another segment.
        """
        try:
            stored = deque(read_detections(self._shared.path(self._number), self._run))
        except InputUnreadableError:
            return None
        return stored if stored and stored[0].time == float(item.time) else None

    def _claim(self) -> str:
        return self._shared.await_claim(self._number, lambda: self._state.failed)

    def add(self, item: FrameItem) -> list[FrameItem]:
        """Add a frame and return those whose faces are known then."""
        if self._stored is None:
            return self._noted(self._search.add(item))
        self._search.skip(item)
        known = self._stored.popleft() if self._stored else None
        stored = None if known is None else known.time
        check_frame(self._state.source, item.number, stored, float(item.time))
        item.detections = known
        return [item]

    def end_segment(self, following: FrameItem | None) -> list[FrameItem]:
        """Store the detections of a segment; return its frames that still wait.

        Args:
            following: The first frame of the next segment; None at the end of the input.

        """
        if self._stored is not None or self._number < 0:
            return []
        done = self._noted(self._search.end_group(following))
        write_detections(self._shared.path(self._number), self._found, self._run)
        self._shared.release(self._number)
        self._found = []
        return done

    def _noted(self, items: list[FrameItem]) -> list[FrameItem]:
        self._found += [one.detections for one in items if one.detections is not None]
        return items
