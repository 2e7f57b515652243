"""Preparation of segments of an input that another process restores.

The other process runs the whole pipeline; what is prepared here, it takes from the folder of the
work. Detections are prepared for any segment, faces for one whose detections are known with those
of the frames after it that tracking needs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path

from jdsr_cli.errors import OutputError
from jdsr_cli.evidence import FileDigest
from jdsr_cli.faces.display import Display
from jdsr_cli.faces.scene import thumbnail
from jdsr_cli.inference.backends import single_threads
from jdsr_cli.media import Reader, open_reader
from jdsr_cli.restoration.frame import (
    NO_IMAGE,
    Element,
    FrameItem,
    InputFinished,
    InputStarted,
    InputState,
    OpenInput,
)
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.models import Models
from jdsr_cli.restoration.numbered_frames import NumberedFrames
from jdsr_cli.restoration.plans import (
    limit_alignment,
    plan_bridged,
    plan_detection,
    plan_intervals,
)
from jdsr_cli.restoration.scene_search import SceneSearch
from jdsr_cli.restoration.shared_segments import SharedResults
from jdsr_cli.restoration.stages.alignment import align
from jdsr_cli.restoration.stages.generation import FaceBatch, FaceGenerator
from jdsr_cli.restoration.stages.reading import frame_item, make_request
from jdsr_cli.restoration.stages.selection import select
from jdsr_cli.restoration.stages.tracking import track
from jdsr_cli.restoration.stored_detections import SUFFIX as DETECTIONS
from jdsr_cli.restoration.stored_detections import (
    check_frame,
    read_detections,
    write_detections,
)
from jdsr_cli.restoration.stored_faces import SUFFIX as FACES
from jdsr_cli.restoration.stored_faces import write_faces
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import MAX_LAG, DetectionSettings, RestoreSettings

MAX_BYTES = 1 << 30
"""Bytes of prepared faces from which no more are prepared until some were used."""
LOOK_STEP = 0.5
"""Seconds between two looks for something to prepare."""


class _NotNeededError(Exception):
    """The process that restores the input has ended."""


class Assistant:
    """Prepares segments of one input, which stays open until `close`.

    Args:
        source: The input.
        workspace: The folder of its results, which another process writes.
        settings: Settings of the run, the same as of that process.
        models: Open networks.

    Raises:
        InputError: The input cannot be read.
        OutputError: The other process works with other settings, networks, packages, or on another
            kind of device, so that its results would not be the same.

    """

    def __init__(
        self, source: Path, workspace: Workspace, settings: DetectionSettings, models: Models
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._models = models
        self._segment = settings.segment
        self._plan = plan_detection(settings, models)
        self._state = InputState(source, workspace)
        self._token = workspace.writing_token()
        self._first_unsearched = 0
        """Number of the first segment whose detections may be missing."""
        self._end: int | None = None
        """Number of a segment that the input does not have, once one is known."""
        try:
            self._opened = self._open(source)
            self._to_search = self._number_frames(self._opened.reader)
            self._to_restore = self._number_frames()
            self._detections = self._share(DETECTIONS)
            self._faces = self._share(FACES)
            self._tracked = self._track()
            self._next_tracked = 0
            """Number of the first segment that is not tracked yet."""
        except BaseException:
            self.close()
            raise

    def _open(self, source: Path) -> OpenInput:
        stored = Journal.stored_request(self._workspace.work)
        sha256 = str(stored.get("asked", {}).get("input", ""))
        request = make_request(self._settings, self._models, sha256)
        differences = request.differences(stored)
        if differences:
            raise OutputError(
                f"another process cannot take part in this run: {'; '.join(differences[:3])}",
                where=self._workspace.final,
                hint="Use the same packages, weights and kind of device everywhere.",
            )
        reader = self._open_reader()
        self._state.resources.callback(reader.close)
        display = Display.of(reader.info.sample_aspect_ratio)
        digest = FileDigest(source.name, 0, sha256)
        return OpenInput(self._state, reader, digest, request, display, None, None, ())

    def _open_reader(self) -> Reader:
        return open_reader(self._state.source, self._settings.reading)

    def _number_frames(self, reader: Reader | None = None) -> NumberedFrames:
        frames = NumberedFrames(self._open_reader, reader)
        self._state.resources.callback(frames.close)
        return frames

    def _share(self, suffix: str) -> SharedResults:
        shared = SharedResults(self._workspace, suffix)
        self._state.resources.callback(shared.release_all)
        return shared

    def close(self) -> None:
        """Close the input and give up all claims."""
        self._state.close()

    def work(self, seconds: float) -> bool:
        """Prepare segments; after some time none is begun any more.

        Args:
            seconds: That time.

        Returns:
            Whether there may be more to prepare later.

        Raises:
            JdsrError: The input cannot be read, nothing can be written into the folder of the
                work, or a stage failed.

        """
        end = time.monotonic() + seconds
        try:
            with single_threads():
                while time.monotonic() < end:
                    self._check_needed()
                    if self._restore_one() or self._search_one():
                        continue
                    if not self._may_restore():
                        return False
                    time.sleep(LOOK_STEP)
        except _NotNeededError:
            return False
        except Exception as fault:
            if not self.is_needed:
                # What failed is that the folder of the work is removed.
                return False
            self._state.fail(fault)
            self._check_state()
        return True

    @property
    def is_needed(self) -> bool:
        """Whether the run goes on for which this prepares segments."""
        return self._token is not None and self._workspace.writing_token() == self._token

    def _check_needed(self) -> None:
        if not self.is_needed:
            raise _NotNeededError

    def _check_state(self) -> None:
        """Raise the error of a stage."""
        if self._state.error is not None:
            raise self._state.error

    # Detections

    def _search_one(self) -> bool:
        """Search the first segment that nobody has searched; return whether there was one."""
        first = max(self._first_unsearched, self._workspace.written_segments())
        self._first_unsearched = first
        for number in count(first):
            if self._end is not None and number >= self._end:
                return False
            found = self._detections.claim(number)
            if found == "ours":
                start = max(0, number * self._segment - 1)
                is_near = self._to_search.is_near(start, self._segment)
                if is_near:
                    self._search(number)
                self._detections.release(number)
                if not is_near:
                    # Without the claim: nobody is to wait for frames that are only skipped.
                    self._to_search.approach(start, self._segment)
                return True
            if found == "there" and number == self._first_unsearched:
                self._first_unsearched += 1
        return False

    def _search(self, number: int) -> None:
        """Store the detections of a segment, of which there are none where the input has ended."""
        first, found = number * self._segment, []
        before = self._to_search.get(first - 1) if first else None
        picture = None if before is None else thumbnail(before.image)
        search = SceneSearch(self._plan, self._opened.info.frame_rate, picture)
        following = None
        for position in range(first, first + self._segment + 1):
            self._check_needed()
            frame = self._to_search.get(position)
            if frame is None:
                self._end = number + int(position > first)
                break
            item = frame_item(self._opened, position, frame, self._segment)
            if position == first + self._segment:
                following = item
            else:
                found += [one.detections for one in search.add(item)]
        found += [one.detections for one in search.end_group(following)]
        known = [one for one in found if one is not None]
        self._check_needed()
        write_detections(self._detections.path(number), known)

    # Faces

    def _restore_one(self) -> bool:
        """Restore the faces of the first segment that can be; return whether there was one."""
        if self._models.generator is None or self._workspace.size_of(FACES) >= MAX_BYTES:
            return False
        for number in count(max(self._workspace.written_segments(), self._next_tracked)):
            if not self._can_be_tracked(number):
                return False
            if self._faces.claim(number) == "ours":
                is_near = self._is_near(number)
                if is_near:
                    restored = self._restore(number, self._models.generator)
                    write_faces(self._faces.path(number), restored)
                self._faces.release(number)
                if not is_near:
                    self._approach(number)
                return True
        return False

    def _is_near(self, number: int) -> bool:
        """Return whether the frames of a segment can be had soon."""
        near = self._to_restore.is_near(number * self._segment, self._segment)
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
            self._to_restore.approach(number * self._segment, self._segment)

    def _may_restore(self) -> bool:
        """Return whether faces of a segment are still to be restored."""
        first = max(self._workspace.written_segments(), self._next_tracked)
        return self._models.generator is not None and (self._end is None or first < self._end)

    def _can_be_tracked(self, number: int) -> bool:
        """Return whether the detections of a segment and of those that tracking needs are there."""
        further = -(-MAX_LAG // self._segment)
        for one in range(number, number + further + 1):
            if not self._detections.path(one).exists():
                return one > number and self._is_last(one - 1)
        return True

    def _is_last(self, number: int) -> bool:
        if self._end is not None and number + 1 >= self._end:
            return True
        frames = sum(1 for _ in read_detections(self._detections.path(number)))
        return frames < self._segment

    def _restore(self, number: int, generator: FaceGenerator) -> Iterator[FrameItem]:
        """Yield the frames of a segment with their restored faces."""
        limits, batch = limit_alignment(self._settings), FaceBatch(generator)
        stream: Iterator[Element] = self._frames_of(number)
        stream = align(stream, generator.side, limits, plan_bridged(self._settings))
        if isinstance(self._settings, RestoreSettings) and self._settings.selects_shots:
            stream = select(stream, self._settings.kept_shots)
        for element in stream:
            self._check_needed()
            yield from _frames_in(batch.add(element))
        yield from _frames_in(batch.restore())
        self._check_state()
        self._check_needed()

    def _frames_of(self, number: int) -> Iterator[FrameItem]:
        """Yield the frames of a segment with their tracked faces."""
        self._next_tracked = number + 1
        for item in self._tracked:
            frame = self._to_restore.get(item.number)
            found = None if frame is None else float(frame.time)
            check_frame(self._state.source, item.number, float(item.time), found)
            assert frame is not None
            item.index, item.pts, item.time = frame.index, frame.pts, frame.time
            item.image = frame.image
            yield item
            if item.ends_segment:
                break
        self._check_state()

    def _track(self) -> Iterator[FrameItem]:
        """Yield the frames of the input with their tracked faces, without their pictures."""
        intervals = plan_intervals(self._settings, self._plan)
        yield from _frames_in(track(self._detected(), self._settings.tracker, intervals))

    def _detected(self) -> Iterator[Element]:
        """Yield the frames of the input with their stored detections."""
        yield InputStarted(self._opened)
        for number in count():
            frames = list(read_detections(self._detections.path(number)))
            for position, detections in enumerate(frames, number * self._segment):
                ends = (position + 1) % self._segment == 0
                time = Fraction(detections.time)
                item = FrameItem(self._opened, position, 0, 0, time, NO_IMAGE, ends)
                item.detections = detections
                yield item
            if len(frames) < self._segment or number + 1 == self._end:
                break
        yield InputFinished(self._state)


def _frames_in(elements: Iterable[Element]) -> Iterator[FrameItem]:
    return (one for one in elements if isinstance(one, FrameItem))
