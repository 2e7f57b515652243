"""The search of a whole input for people, before its first frame is processed.

Who is selected by a reference photograph depends on all faces of a track, and heads that are made
unrecognisable are so before their faces are found. Therefore all segments are searched first; their
detections are stored as ever, so that nothing is searched twice. The tracks are found from them
without pictures. Files in the folder of the work hold what follows for each track and each segment;
all processes of a run use them, and they are removed with that folder.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.anonymisation import BLOCKS, UNKNOWN, Mosaic, make_mosaic
from jdsr_cli.faces.recognition import COMPARED_FACES, EmbeddedFace, pooled_similarity
from jdsr_cli.restoration.frame import FrameItem, OpenInput
from jdsr_cli.restoration.hashed_files import is_whole
from jdsr_cli.restoration.head_positions import Head, HeadTimeline
from jdsr_cli.restoration.numbered_frames import NumberedFrames
from jdsr_cli.restoration.reference import ReferencePerson
from jdsr_cli.restoration.scene_search import DetectionPlan
from jdsr_cli.restoration.segment_search import SegmentSearch
from jdsr_cli.restoration.shots import ShotRanking
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.stored_tracks import track_stored
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import DetectionSettings

PEOPLE = "people.npz"
"""File of the tracks, written when the survey is complete."""
HEADS_SUFFIX = ".heads.npz"
"""End of the names of the files of the heads of segments."""
DAMAGED = "the survey of the interrupted run is damaged"
_NUMBERS = 10
"""Numbers of a head: frame, track, box of the head (4) and of the face (4)."""


def is_surveyed(workspace: Workspace) -> bool:
    """Whether the survey of an input is complete."""
    return (workspace.work / PEOPLE).exists()


def read_similarities(opened: OpenInput) -> dict[int, float | None]:
    """Return for each track the similarity to the reference person, None where it is unknown.

    Raises:
        InputUnreadableError: The file is missing or damaged.

    """
    stored = Snapshot.read(opened.workspace.work / PEOPLE, opened.request.run, DAMAGED)
    return dict(stored.values["tracks"])


@dataclass(frozen=True, eq=False)
class SegmentHeads:
    """The heads in the frames of a segment."""

    frames: Mapping[int, list[Head]]
    """By the number of the frame."""
    mosaics: Mapping[int, Mosaic]
    """By the number of the track."""

    def write(self, path: Path, run: str) -> None:
        """Store them for a run; OutputError if the file cannot be written."""
        rows = [
            (number, one.track, *one.head, *one.face)
            for number, heads in self.frames.items()
            for one in heads
        ]
        tracks = sorted({int(row[1]) for row in rows})
        mosaics = [self.mosaics.get(track, UNKNOWN) for track in tracks]
        arrays: dict[str, NDArray[Any]] = {
            "heads": np.array(rows, np.float64).reshape(-1, _NUMBERS),
            "mosaics": np.array(mosaics, np.uint8).reshape(-1, BLOCKS, BLOCKS, 3),
        }
        Snapshot({"tracks": tracks}, arrays).write(path, run)

    @classmethod
    def read(cls, path: Path, run: str) -> SegmentHeads:
        """Read what `write` stored; InputUnreadableError if it is missing, damaged or another."""
        stored = Snapshot.read(path, run, DAMAGED)
        frames: dict[int, list[Head]] = defaultdict(list)
        for number, track, x0, y0, x1, y1, *face in stored.arrays["heads"].tolist():
            left, top, right, bottom = face
            head = Head(int(track), (x0, y0, x1, y1), (left, top, right, bottom))
            frames[int(number)].append(head)
        mosaics = zip(stored.values["tracks"], stored.arrays["mosaics"], strict=True)
        return cls(frames, dict(mosaics))


class InputSurvey:
    """The survey of one input.

    Args:
        opened: The input, whose workspace is open.
        settings: Settings of the run.
        plan: How faces are searched.
        reference: The person to whom tracks are compared, if there is one.

    """

    def __init__(
        self,
        opened: OpenInput,
        settings: DetectionSettings,
        plan: DetectionPlan,
        reference: ReferencePerson | None,
    ) -> None:
        self._opened = opened
        self._run = opened.request.run
        self._workspace = opened.workspace
        self._settings = settings
        self._plan = plan
        self._reference = reference
        self._segments = 0
        """Segments whose heads are stored."""
        self._similarities: dict[int, float | None] = {}
        self._faces: ShotRanking[EmbeddedFace] = ShotRanking(COMPARED_FACES)

    @property
    def is_done(self) -> bool:
        """Whether an interrupted run has completed it, and its files are whole."""
        path = self._workspace.work / PEOPLE
        if not is_whole(path, self._run):
            return False
        segments = Snapshot.read(path, self._run, DAMAGED).values["segments"]
        return all(is_whole(self._heads_file(number), self._run) for number in range(segments))

    def run(
        self,
        frames: NumberedFrames,
        check_needed: Callable[[], None],
        advance: Callable[[], None],
    ) -> None:
        """Search all segments, track people and store what follows.

        Args:
            frames: Frames of the input.
            check_needed: Raises an exception when the run has ended.
            advance: Called when a segment is searched.

        Raises:
            JdsrError: The input cannot be read, or nothing can be written into the folder of the
                work.

        """
        (self._workspace.work / PEOPLE).unlink(missing_ok=True)
        search = SegmentSearch(self._opened, self._plan, frames, check_needed)
        self._search_all(search, check_needed, advance)
        tracked = track_stored(
            self._opened, self._settings, self._plan, search.results.path, lambda: search.end
        )
        self._follow(tracked, check_needed)
        if self._opened.state.error is not None:
            raise self._opened.state.error
        tracks = sorted(self._similarities.items())
        people = Snapshot({"tracks": tracks, "segments": self._segments})
        people.write(self._workspace.work / PEOPLE, self._run)

    @staticmethod
    def _search_all(
        search: SegmentSearch, check_needed: Callable[[], None], advance: Callable[[], None]
    ) -> None:
        """Search the segments that nobody has searched, and wait for those of other processes."""

        def is_given_up() -> bool:
            check_needed()
            return False

        while True:
            while search.prepare_one():
                advance()
            assert search.end is not None
            for number in range(search.end):
                found = search.results.await_claim(number, is_given_up)
                search.results.release(number)
                if found == "ours":
                    # The process that searched it is lost.
                    break
            else:
                return

    def _follow(self, tracked: Iterable[FrameItem], check_needed: Callable[[], None]) -> None:
        """Compare the tracks with the reference person, and store the heads of each segment."""
        writer = _HeadWriter(self._plan.segment, self._heads_file, self._run)
        for item in tracked:
            if item.number % self._plan.segment == 0:
                check_needed()
            if self._settings.privacy.blur_others:
                writer.add(item)
            self._compare(item)
        if self._settings.privacy.blur_others:
            self._segments = writer.finish()

    def _compare(self, item: FrameItem) -> None:
        """Choose the faces of each track that are compared; compare those of tracks that ended."""
        assert item.detections is not None
        for face in item.faces:
            self._similarities.setdefault(face.track, None)
        if self._reference is None:
            return
        detections = item.detections
        assert detections.embeddings is not None or not detections.detections
        place = {id(one): row for row, one in enumerate(detections.detections)}
        for face in item.faces:
            raw = face.tracked.raw
            if raw is None or not raw.confirmed or detections.embeddings is None:
                continue
            embedding = detections.embeddings[place[id(raw)]]
            shot = EmbeddedFace(item.number, detections.time, raw.eye_distance, embedding)
            if embedding.any() and self._faces.accepts(face.track, shot.seconds, shot.quality):
                self._faces.add(face.track, shot)
        for track in item.ended_tracks:
            faces = [one.embedding for one in self._faces.pop(track)]
            self._similarities[track] = pooled_similarity(faces, self._reference.embedding)

    def _heads_file(self, number: int) -> Path:
        return self._workspace.segments.file(number, HEADS_SUFFIX)


class _HeadWriter:
    """Stores the heads of the frames of an input in a file for each segment."""

    def __init__(self, segment: int, path: Callable[[int], Path], run: str) -> None:
        self._segment = segment
        self._path = path
        self._run = run
        self._timeline = HeadTimeline()
        self._mosaics: dict[int, Mosaic] = {}
        self._frames: dict[int, list[Head]] = {}
        """Of the open segment."""
        self._number = 0
        """Of the open segment."""

    def add(self, item: FrameItem) -> None:
        """Add the next frame."""
        detections = item.detections
        assert detections is not None
        heads: dict[int, NDArray[np.uint8]] = dict(
            zip(map(id, detections.detections), detections.heads, strict=True)
        )
        for face in item.faces:
            if face.tracked.raw is not None and face.track not in self._mosaics:
                self._mosaics[face.track] = make_mosaic(heads[id(face.tracked.raw)])
        faces = [face.tracked for face in item.faces]
        self._store(self._timeline.add(item.number, detections.time, faces, cut=detections.cut))

    def finish(self) -> int:
        """Store the rest; return the number of segments."""
        self._store(self._timeline.finish())
        self._close()
        return self._number

    def _store(self, decided: Iterable[tuple[int, list[Head]]]) -> None:
        for number, heads in decided:
            if number // self._segment > self._number:
                self._close()
            self._frames[number] = heads

    def _close(self) -> None:
        SegmentHeads(self._frames, self._mosaics).write(self._path(self._number), self._run)
        self._frames = {}
        self._number += 1
