"""What writes the results of an input: independent sinks behind one base class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import MediaError
from jdsr_cli.evaluation.metrics.temporal import FlickerMeter
from jdsr_cli.evidence import picture_metadata, video_metadata
from jdsr_cli.evidence.credentials import Content
from jdsr_cli.media import (
    DeepImage,
    Image,
    MediaInfo,
    PictureExif,
    SegmentWriter,
    join_segments,
    write_image,
)
from jdsr_cli.media.writing.pictures import XMP_KEY
from jdsr_cli.restoration.frame import FrameItem, OpenInput
from jdsr_cli.restoration.result_signer import sign_file
from jdsr_cli.restoration.snapshots import Snapshot
from jdsr_cli.restoration.summary import FaceCounter, TrackPictures, describe_face, rounded
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import RestoreSettings

RESTORED = "restored"
"""Stem of the restored video or image."""
OVERLAY = "overlay"
"""Stem of the video or image that shows detections, tracks and refusals."""
COMPARISON = "compare"
"""Stem of the video or image that shows the input beside the result."""
RECORDS = "faces.jsonl"
"""A record for each face in each frame."""
TRACKS = "tracks.jsonl"
"""A record for each track."""


@dataclass(frozen=True)
class SinkResult:
    """The whole results of a sink."""

    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    counts: dict[str, Any] = field(default_factory=dict)
    """Fields of `Counts`."""
    figures: dict[str, Any] = field(default_factory=dict)
    """Measures of the whole input."""
    credentials: dict[str, Any] | None = None
    """Entry of the manifest on content credentials; None if the sink does not record them."""


class Sink:
    """Writes one kind of result of one input, frame by frame in their order.

    The default methods do nothing: a sink implements those that it needs.
    """

    name: str
    """Key of its state in snapshots."""
    stage: str = "write"
    """Stage that its time counts as."""

    def write(self, item: FrameItem) -> None:
        """Write a frame."""

    def end_track(self, track: int, pictures: TrackPictures) -> None:
        """Finish a track that has no more faces; the sinks before may have set `pictures`."""

    def end_segment(self) -> list[Path]:
        """Finish the open segment; return its files, which are complete and on the disk."""
        return []

    def finish(self) -> SinkResult:
        """Join the segments after the last frame; the last segment has ended."""
        return SinkResult()

    def abandon(self) -> None:
        """Close what is open without finishing it."""

    def snapshot(self) -> Snapshot:
        """Return what later frames need."""
        return Snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot."""


class VideoSink(Sink):
    """Encodes a video with the times and the sound of the input.

    Args:
        name: Stem of its file.
        opened: The input.
        header: Header with which its frames are written.
        size: Width and height in pixels.
        settings: Codec, quality and whether the input is trimmed.
        picture: Returns the picture of a frame, RGB (height, width, 3), uint8, or uint16 if the
            header is `deep`.

    """

    def __init__(
        self,
        name: str,
        opened: OpenInput,
        header: MediaInfo,
        size: tuple[int, int],
        settings: RestoreSettings,
        picture: Callable[[FrameItem], Image | DeepImage],
    ) -> None:
        self.name = name
        self._state = opened.state
        self._signer = opened.signer
        self._workspace = opened.workspace
        self._info = header
        self._size = size
        self._settings = settings
        self._picture = picture
        self._segments = len(opened.workspace.journal.segments)
        self._writer: SegmentWriter | None = None
        self._notes: tuple[str, ...] = ()

    def write(self, item: FrameItem) -> None:
        """Encode a frame; the first one opens a segment."""
        if self._writer is None:
            codec, crf = self._settings.codec, self._settings.crf
            path = self._file(self._segments)
            writer = SegmentWriter(
                path, self._info, *self._size, codec=codec, crf=crf, deep=self._info.deep
            )
            self._writer = writer.__enter__()
        self._writer.write(self._picture(item), item.pts)

    def end_segment(self) -> list[Path]:
        """Close the open segment."""
        if self._writer is None:
            return []
        writer, self._writer = self._writer, None
        writer.__exit__(None, None, None)
        self._segments += 1
        self._notes = tuple(writer.warnings)
        return [writer.path]

    def finish(self) -> SinkResult:
        """Join the segments to one video."""
        joined = join_segments(
            self._workspace.results / f"{self.name}.mp4",
            [self._file(number) for number in range(self._segments)],
            self._info,
            metadata=video_metadata(),
            trimmed=self._settings.trims,
            later=self._state.later_recordings,
        )
        notes = (*self._notes, *joined.warnings)
        files = sign_file(self._signer, joined.path, _content_of(self.name))
        return SinkResult(files, notes, _written(self.name, joined.frames))

    def abandon(self) -> None:
        """Close the open segment, whose file is removed."""
        if self._writer is not None:
            self._writer.__exit__(InterruptedError, InterruptedError("abandoned"), None)
            self._writer = None

    def _file(self, number: int) -> Path:
        return self._workspace.segments.file(number, f".{self.name}.nut")


class StillSink(Sink):
    """Writes the only frame of an image, with the EXIF of the input.

    Args:
        name: Stem of its file.
        opened: The input.
        exif: EXIF of its picture; None if it has none.
        picture: Returns the picture of a frame, RGB uint8 or uint16 (height, width, 3).

    """

    def __init__(
        self,
        name: str,
        opened: OpenInput,
        exif: PictureExif | None,
        picture: Callable[[FrameItem], Image | DeepImage],
    ) -> None:
        self.name = name
        self._exif = exif
        self._signer = opened.signer
        self._path = opened.workspace.results / f"{name}.png"
        self._picture = picture
        self._frames = 0

    def write(self, item: FrameItem) -> None:
        """Write the picture; `MediaError` if the input holds a second one."""
        if self._frames:
            raise MediaError("a still image with more than one picture", where=self._path)
        write_image(self._path, self._picture(item), picture_metadata(XMP_KEY), self._exif)
        self._frames += 1

    def end_segment(self) -> list[Path]:
        """Return the picture, which is complete."""
        return [self._path] if self._frames else []

    def finish(self) -> SinkResult:
        """Return the picture."""
        files = sign_file(self._signer, self._path, _content_of(self.name))
        return SinkResult(files, counts=_written(self.name, self._frames))


def _content_of(name: str) -> Content:
    """Return what the file of a sink shows."""
    return "overlay" if name == OVERLAY else "restored"


def _written(name: str, frames: int) -> dict[str, Any]:
    return {"frames_written": frames} if name == RESTORED else {}


def composited_frame(item: FrameItem) -> Image | DeepImage:
    """Return an enlarged frame with its restored faces."""
    return item.composited


def comparison_frame(item: FrameItem) -> Image:
    """Return the enlarged input beside the frame with its restored faces."""
    return item.comparison


class SegmentedText:
    """A text file that grows in parts, one for each segment.

    Args:
        workspace: Workspace of the input.
        name: Name of the file.

    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._workspace = workspace
        self._name = name
        self._segments = len(workspace.journal.segments)
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """Append a line to the open segment."""
        self._lines.append(line)

    def end_segment(self) -> Path:
        """Write the lines of the segment to the disk."""
        path = self._file(self._segments)
        with atomic_file(path) as partial, partial.open("wb") as file:
            file.writelines(f"{line}\n".encode() for line in self._lines)
        self._lines = []
        self._segments += 1
        return path

    def lines(self) -> list[str]:
        """Return the lines of all segments that have ended."""
        files = map(self._file, range(self._segments))
        return [line for path in files for line in path.read_text("utf-8").splitlines()]

    def join(self) -> Path:
        """Write the whole file into the folder of results."""
        path = self._workspace.results / self._name
        with atomic_file(path) as partial, partial.open("wb") as file:
            file.writelines(self._file(number).read_bytes() for number in range(self._segments))
        return path

    def _file(self, number: int) -> Path:
        return self._workspace.segments.file(number, f".{self._name}")


class RecordSink(Sink):
    """Writes a record for each face and each track, and counts them."""

    name = "records"

    def __init__(self, opened: OpenInput) -> None:
        self._faces = SegmentedText(opened.workspace, RECORDS)
        self._tracks = SegmentedText(opened.workspace, TRACKS)
        self._counter = FaceCounter()

    def write(self, item: FrameItem) -> None:
        """Record the faces of a frame."""
        for number, face in enumerate(item.faces, 1):
            record = describe_face(item, number, face)
            self._counter.add(record, face.refusal)
            self._faces.add(record.to_json())

    def end_track(self, track: int, pictures: TrackPictures) -> None:
        """Record a track."""
        record = self._counter.close(track, pictures)
        if record is not None:
            self._tracks.add(record.to_json())

    def end_segment(self) -> list[Path]:
        """Write the records of the segment."""
        return [self._faces.end_segment(), self._tracks.end_segment()]

    def finish(self) -> SinkResult:
        """Join the records."""
        return SinkResult((self._faces.join(), self._tracks.join()), counts=self._counter.counts())

    def snapshot(self) -> Snapshot:
        """Return all counts."""
        return Snapshot(self._counter.state())

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot."""
        self._counter.load(snapshot.values)


class FigureSink(Sink):
    """Measures flicker before and after temporal smoothing, and counts monochrome frames."""

    name = "figures"

    def __init__(self, settings: RestoreSettings) -> None:
        self._smoothed = settings.stabilise
        self._before, self._after = FlickerMeter(), FlickerMeter()
        self._monochrome = 0

    def write(self, item: FrameItem) -> None:
        """Measure the faces of a frame."""
        self._monochrome += any(face.monochrome for face in item.faces)
        for face in item.faces:
            if face.reference is None or face.restored is None or face.smoothed is None:
                continue
            assert item.detections is not None
            cut = item.detections.cut
            given = (face.track, item.number, face.reference)
            motion = self._before.add(*given, face.restored.image, fresh=cut)
            self._after.add(*given, face.smoothed.image, fresh=cut, motion=motion)

    def end_track(self, track: int, pictures: TrackPictures) -> None:
        """Forget the last face of a track."""
        self._before.drop(track)
        self._after.drop(track)

    def finish(self) -> SinkResult:
        """Return flicker relative to that of the input, see `metrics.temporal`."""
        shown = self._after if self._smoothed else self._before
        figures = {
            "flicker": rounded(shown.ratio, 4),
            "flicker_unstabilised": rounded(self._before.ratio, 4),
            "gray_frames": self._monochrome,
        }
        return SinkResult(figures=figures)

    def snapshot(self) -> Snapshot:
        """Return sums and the last faces."""
        return Snapshot.join(
            before=Snapshot(arrays=self._before.state()),
            after=Snapshot(arrays=self._after.state()),
            frames=Snapshot({"monochrome": self._monochrome}),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot."""
        self._before.load(snapshot.part("before").arrays)
        self._after.load(snapshot.part("after").arrays)
        self._monochrome = snapshot.part("frames").values["monochrome"]
