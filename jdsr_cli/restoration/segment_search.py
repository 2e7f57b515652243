"""Detections of segments of an input that another process restores."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from jdsr_cli.faces.scene import thumbnail
from jdsr_cli.restoration.frame import OpenInput
from jdsr_cli.restoration.numbered_frames import NumberedFrames
from jdsr_cli.restoration.scene_search import DetectionPlan, FrameBefore, SceneSearch
from jdsr_cli.restoration.shared_segments import SharedResults
from jdsr_cli.restoration.stages.reading import frame_item
from jdsr_cli.restoration.stored_detections import SUFFIX, write_detections


class SegmentSearch:
    """Searches segments of one input for faces, each by itself.

    Args:
        opened: The input.
        plan: How faces are searched.
        frames: Frames of the input.
        check_needed: Raises an exception when the run has ended.

    Attributes:
        results: The detections of all segments.
        end: Number of a segment that the input does not have, None until one is known.

    """

    def __init__(
        self,
        opened: OpenInput,
        plan: DetectionPlan,
        frames: NumberedFrames,
        check_needed: Callable[[], None],
    ) -> None:
        self._opened = opened
        self._workspace = opened.workspace
        self._plan = plan
        self._segment = plan.segment
        self._frames = frames
        self._check_needed = check_needed
        self._first_unsearched = 0
        """Number of the first segment whose detections may be missing."""
        self.results = SharedResults(opened.workspace, SUFFIX)
        opened.state.resources.callback(self.results.release_all)
        self.end: int | None = None

    def prepare_one(self) -> bool:
        """Search the first segment that nobody has searched; return whether there was one."""
        first = max(self._first_unsearched, self._workspace.segments.written())
        self._first_unsearched = first
        for number in count(first):
            if self.end is not None and number >= self.end:
                return False
            found = self.results.claim(number)
            if found == "ours":
                start = max(0, number * self._segment - 1)
                is_near = self._frames.is_near(start, self._segment)
                if is_near:
                    self._search(number)
                self.results.release(number)
                if not is_near:
                    # Without the claim: nobody is to wait for frames that are only skipped.
                    self._frames.approach(start, self._segment)
                return True
            if found == "there" and number == self._first_unsearched:
                self._first_unsearched += 1
        return False

    def _search(self, number: int) -> None:
        """Store the detections of a segment, of which there are none where the input has ended."""
        first, found = number * self._segment, []
        last = self._frames.get(first - 1) if first else None
        before = None if last is None else FrameBefore(float(last.time), thumbnail(last.image))
        search = SceneSearch(self._plan, self._opened.info.frame_rate, before)
        following = None
        for position in range(first, first + self._segment + 1):
            self._check_needed()
            frame = self._frames.get(position)
            if frame is None:
                self.end = number + int(position > first)
                break
            item = frame_item(self._opened, position, frame, self._segment)
            if position == first + self._segment:
                following = item
            else:
                found += [one.detections for one in search.add(item)]
        found += [one.detections for one in search.end_group(following)]
        known = [one for one in found if one is not None]
        self._check_needed()
        write_detections(self.results.path(number), known, self._opened.request.run)
