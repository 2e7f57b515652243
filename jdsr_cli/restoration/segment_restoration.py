"""Generated faces of segments of an input that another process restores.

Tracks depend on the detections of all frames before, and of some after; those are read from files,
and pictures only for the segments that are restored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from jdsr_cli.restoration.frame import Element, FrameItem, OpenInput
from jdsr_cli.restoration.numbered_frames import NumberedFrames
from jdsr_cli.restoration.plans import limit_alignment, plan_bridged
from jdsr_cli.restoration.scene_search import DetectionPlan
from jdsr_cli.restoration.segment_search import SegmentSearch
from jdsr_cli.restoration.shared_segments import SharedResults
from jdsr_cli.restoration.stages.alignment import align
from jdsr_cli.restoration.stages.generation import FaceBatch, FaceGenerator
from jdsr_cli.restoration.stages.privacy import protect
from jdsr_cli.restoration.stages.selection import select
from jdsr_cli.restoration.stages.windows import window
from jdsr_cli.restoration.stored_detections import check_frame, read_detections
from jdsr_cli.restoration.stored_faces import SUFFIX, write_faces
from jdsr_cli.restoration.stored_tracks import frames_in, track_stored
from jdsr_cli.restoration.survey import is_surveyed
from jdsr_cli.settings import MAX_LAG, RestoreSettings

MAX_BYTES = 1 << 30
"""Bytes of prepared faces from which no more are prepared until some were used."""


class SegmentRestoration:
    """Restores the faces of segments of one input whose detections are known.

    Args:
        opened: The input.
        settings: Settings of the run.
        plan: How faces are searched.
        generator: Restores the faces.
        search: The detections.
        frames: Frames of the input.
        check_needed: Raises an exception when the run has ended.

    """

    def __init__(
        self,
        opened: OpenInput,
        settings: RestoreSettings,
        plan: DetectionPlan,
        generator: FaceGenerator,
        search: SegmentSearch,
        frames: NumberedFrames,
        check_needed: Callable[[], None],
    ) -> None:
        self._opened = opened
        self._state = opened.state
        self._workspace = opened.workspace
        self._run = opened.request.run
        self._settings = settings
        self._plan = plan
        self._segment = plan.segment
        self._generator = generator
        self._search = search
        self._frames = frames
        self._check_needed = check_needed
        self._results = SharedResults(opened.workspace, SUFFIX)
        opened.state.resources.callback(self._results.release_all)
        self._tracked = track_stored(
            opened, settings, plan, search.results.path, lambda: search.end
        )
        self._next_tracked = 0
        """Number of the first segment that is not tracked yet."""

    def prepare_one(self) -> bool:
        """Restore the faces of the first segment that can be; return whether there was one."""
        if self._settings.privacy.surveys and not is_surveyed(self._workspace):
            return False
        if self._workspace.segments.size_of(SUFFIX) >= MAX_BYTES:
            return False
        for number in count(max(self._workspace.segments.written(), self._next_tracked)):
            if not self._can_be_tracked(number):
                return False
            if self._results.claim(number) == "ours":
                is_near = self._is_near(number)
                if is_near:
                    restored = self._restore(number)
                    write_faces(self._results.path(number), restored, self._run)
                self._results.release(number)
                if not is_near:
                    self._approach(number)
                return True
        return False

    def _is_near(self, number: int) -> bool:
        """Return whether the frames of a segment can be had soon."""
        near = self._frames.is_near(number * self._segment, self._segment)
        return near and self._next_tracked == number

    def _approach(self, number: int) -> None:
        """Come nearer to the first frame of a segment."""
        if self._next_tracked < number:
            for item in self._tracked:
                if item.ends_segment:
                    break
            self._check_state()
            self._next_tracked += 1
        else:
            self._frames.approach(number * self._segment, self._segment)

    def may_go_on(self) -> bool:
        """Return whether faces of a segment are still to be restored."""
        first = max(self._workspace.segments.written(), self._next_tracked)
        return self._search.end is None or first < self._search.end

    def _can_be_tracked(self, number: int) -> bool:
        """Return whether the detections of a segment and of those that tracking needs are there."""
        further = -(-MAX_LAG // self._segment)
        for one in range(number, number + further + 1):
            if not self._search.results.path(one).exists():
                return one > number and self._is_last(one - 1)
        return True

    def _is_last(self, number: int) -> bool:
        if self._search.end is not None and number + 1 >= self._search.end:
            return True
        frames = sum(1 for _ in read_detections(self._search.results.path(number), self._run))
        return frames < self._segment

    def _restore(self, number: int) -> Iterator[FrameItem]:
        """Yield the frames of a segment with their restored faces."""
        limits, batch = limit_alignment(self._settings), FaceBatch(self._generator)
        stream: Iterator[Element] = self._frames_of(number)
        if self._settings.privacy.selects:
            stream = protect(stream, self._settings)
        stream = align(stream, self._generator.side, limits, plan_bridged(self._settings))
        if self._settings.selects_shots:
            stream = select(stream, self._settings.kept_shots)
        if self._settings.window > 1:
            stream = window(stream, self._settings.window)
        for element in stream:
            self._check_needed()
            yield from frames_in(batch.add(element))
        yield from frames_in(batch.restore())
        self._check_state()
        self._check_needed()

    def _frames_of(self, number: int) -> Iterator[FrameItem]:
        """Yield the frames of a segment with their tracked faces."""
        self._next_tracked = number + 1
        for item in self._tracked:
            frame = self._frames.get(item.number)
            found = None if frame is None else float(frame.time)
            check_frame(self._state.source, item.number, float(item.time), found)
            assert frame is not None
            item.index, item.pts, item.time = frame.index, frame.pts, frame.time
            item.image = frame.image
            yield item
            if item.ends_segment:
                break
        self._check_state()

    def _check_state(self) -> None:
        """Raise the error of a stage."""
        if self._state.error is not None:
            raise self._state.error
