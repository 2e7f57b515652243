"""Write the final videos: segments joined with the sound of the source, and whole videos.

Joining does not encode anything: packets of the segments are copied unchanged, so that a video
whose segments were written in several runs equals one written at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from jdsr_cli.atomic import create_partial, partial_name, publish
from jdsr_cli.errors import MediaError, OutputError
from jdsr_cli.media.frames import DeepImage, Image, MediaInfo
from jdsr_cli.media.later_recordings import LaterRecording
from jdsr_cli.media.writing.assembly import Assembly
from jdsr_cli.media.writing.clipping import TimeSpan
from jdsr_cli.media.writing.containers import choose_container, final_name
from jdsr_cli.media.writing.formats import choose_encoding, encoder_of
from jdsr_cli.media.writing.pauses import can_store_joined_pauses, can_store_pauses
from jdsr_cli.media.writing.segment_files import Survey, survey_segments
from jdsr_cli.media.writing.segments import SEGMENT_SUFFIX, SegmentWriter
from jdsr_cli.media.writing.time_bases import LONGEST_PAUSE
from jdsr_cli.media.writing.tracks import TrackCopier
from jdsr_cli.media.writing.verify import ExpectedContent, verify_file


@dataclass(frozen=True)
class JoinedVideo:
    """A video that was joined and verified.

    Attributes:
        path: The final name: .mp4, .mov if only QuickTime can hold the sound as it is, or .mkv if
            only Matroska can hold the subtitles or a pause of many hours.
        frames: Number of frames.
        warnings: One sentence for each property that could not be preserved.
        time_offset: Seconds that were added to every time, exact. It differs from 0 only for a part
            of the source, or if the source starts before 0 or more than ten seconds after 0.

    """

    path: Path
    frames: int
    warnings: tuple[str, ...]
    time_offset: Fraction


def plan_output(path: str | Path, source: MediaInfo, codec: str = "h264") -> Path:
    """Return the final name of an output of `source`, and check that it can be written.

    Args:
        path: The requested name.
        source: Header of the input that frames, sound and subtitles come from.
        codec: Name of the codec that is written ("h264"); see `SegmentWriter.codec`.

    Raises:
        OutputError: The folder is missing, full or read-only, or the path is a folder or the source
            itself.
        MediaError: The source can no longer be opened.

    """
    with ExitStack() as stack:
        tracks, _ = _open_tracks(source, stack)
        final = _choose_name(Path(path), source, codec, tracks)[0]
    partial = create_partial(final)
    with suppress(OSError):
        partial.unlink()
    return final


def join_segments(
    path: str | Path,
    segments: Sequence[Path],
    source: MediaInfo,
    *,
    metadata: Mapping[str, str] | None = None,
    trimmed: bool = False,
    later: Sequence[LaterRecording] = (),
) -> JoinedVideo:
    """Join segments, with the sound and subtitles of their source, without encoding.

    Times stay the rationals that were given to `SegmentWriter`, plus `time_offset`, unless there is
    a pause of hours: then they may be rounded by less than half a millisecond. Pixel aspect,
    colour tags, range and metadata of the source are kept; the matrix is always tagged. The file is
    written under a temporary name in the same folder, read back, compared with the segments and the
    source, and renamed; after an error it is removed. The segments are kept.

    Args:
        path: The output; its suffix follows the container, see `plan_output`.
        segments: Files of `SegmentWriter` in order of time, all of one codec and size.
        source: Header of the input that the frames come from.
        metadata: Additional metadata, with precedence over that of the source.
        trimmed: Whether the segments contain only a part of the source: times are then shifted so
            that the first frame is at 0, and only sound and subtitles of that part are kept.
        later: `ReadReport.later` of the source; without it, sound is that of the first recording.

    Raises:
        OutputError: The folder is missing, full or read-only, or the path is the source itself; a
            segment is missing, incomplete, out of order, or of another format than the first.
        MediaError: The source can no longer be opened to copy its sound.

    """
    survey = survey_segments(segments)
    with ExitStack() as stack:
        tracks, notes = _open_tracks(source, stack, later)
        pause = _find_pause(survey, source, tracks, trimmed=trimmed)
        final, container = _choose_name(Path(path), source, survey.header.codec, tracks, pause)
        if pause is not None:
            notes.append(f"stored as Matroska: {pause}")
        partial = create_partial(final)
        stack.callback(_remove, partial)
        assembly = Assembly(final, container, survey, source, tracks, trimmed)
        assembly.write(partial, segments, metadata or {})
        times, track_warnings = assembly.times, tracks.warnings() if tracks else []
        expected = ExpectedContent(
            times,
            assembly.stated_duration,
            survey.header.width,
            survey.header.height,
            tracks.tallies if tracks else (),
        )
        track_differences = verify_file(partial, expected, final)
        publish(partial, final)
    warnings = (*notes, *assembly.notes, *track_warnings, *track_differences)
    return JoinedVideo(final, times.count, warnings, assembly.time_offset)


def _open_tracks(
    source: MediaInfo, stack: ExitStack, later: Sequence[LaterRecording] = ()
) -> tuple[TrackCopier | None, list[str]]:
    """Open the sound and subtitles of a video; that may fail for a salvaged one."""
    if source.kind != "video":
        return None, []
    try:
        tracks = TrackCopier(source, later)
    except MediaError as exc:
        if not source.salvaged:
            raise
        return None, [f"sound and subtitles could not be read: {exc.what}"]
    stack.callback(tracks.close)
    return tracks, []


def _find_pause(
    survey: Survey, source: MediaInfo, tracks: TrackCopier | None, *, trimmed: bool
) -> str | None:
    """Return in words why MP4 cannot store the times, None if it can."""
    if survey.widest * source.time_base > LONGEST_PAUSE:
        return "MP4 cannot store the longest pause between frames"
    span = TimeSpan(survey.first * source.time_base, survey.last * source.time_base)
    if tracks is None:
        return None
    if tracks.later:
        stored = can_store_joined_pauses(tracks.file, tracks.later)
    else:
        stored = can_store_pauses(tracks.file, span, trimmed=trimmed)
    if not stored:
        return "MP4 cannot store the longest pause of the sound or subtitles"
    return None


def _choose_name(
    path: Path,
    source: MediaInfo,
    codec: str,
    tracks: TrackCopier | None,
    pause: str | None = None,
) -> tuple[Path, str]:
    """Return the final name, and FFmpeg's name of the container."""
    kinds = tracks.kinds if tracks else []
    container = choose_container(encoder_of(codec), source.time_base, kinds)
    if pause is not None:
        container = "matroska"
    final = final_name(path, container)
    try:
        same = final.samefile(source.path)
    except OSError:
        same = False
    if same:
        raise OutputError(
            "the output would overwrite its input", where=final, hint="Choose another --out."
        )
    return final, container


def _remove(partial: Path) -> None:
    with suppress(OSError):
        partial.unlink(missing_ok=True)


class VideoWriter:
    """Write frames with exact times, and copy the sound of the source.

    Times are kept as rationals: a frame written at `pts` is read back at exactly
    `pts * source.time_base` seconds (except for `time_offset`). Pixel aspect, colour tags, range
    and metadata of the source are kept; the matrix is always tagged. A width or height that the
    codec cannot store (odd, with subsampled colour) is padded by repeating the last column or row.
    Sound is that of the first recording if the file has several; see `join_segments`.
    Frames are written to a hidden file in the same folder. When the context ends without an
    exception, it is joined with the sound, and the result is read back, compared with what was
    written and renamed; after an exception all files are removed.

    Args:
        path: The output; its suffix follows the container, see `VideoWriter.path`.
        source: Header of the input that the frames come from, with the `time_base` of the times.
        width: Width of the frames in pixels.
        height: Height of the frames in pixels.
        codec: "auto", "h264", "hevc", "av1", "ffv1" (lossless) or "source" (that of the input if
            possible).
        crf: Quality of a lossy codec, 0 (best) to 51, for AV1 to 63; None is visually lossless.
        metadata: Additional metadata, with precedence over that of the source.
        deep: As for `SegmentWriter`.

    Attributes:
        path: The final name: .mp4, .mov if only QuickTime can hold the sound as it is, or .mkv if
            only Matroska can hold the subtitles.

    Raises:
        OutputError: The folder is missing, full or read-only, or the path is the source itself.
        UsageError: The codec is unknown, or a size or the quality is out of range.
        MediaError: The source can no longer be opened to copy its sound.

    """

    def __init__(
        self,
        path: str | Path,
        source: MediaInfo,
        width: int,
        height: int,
        *,
        codec: str = "auto",
        crf: int | None = None,
        metadata: Mapping[str, str] | None = None,
        deep: bool = False,
    ) -> None:
        self._source = source = source if deep else replace(source, deep=False)
        self._metadata = metadata
        self._joined: JoinedVideo | None = None
        self.path = plan_output(path, source, choose_encoding(codec, source, crf)[0].codec)
        hidden = partial_name(self.path).with_suffix(SEGMENT_SUFFIX)
        self._segment = SegmentWriter(
            hidden, source, width, height, codec=codec, crf=crf, deep=deep
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with ExitStack() as stack:
            stack.callback(self._remove_segment)
            self._segment.__exit__(kind, value, trace)
            if kind is None:
                self._joined = join_segments(
                    self.path, [self._segment.path], self._source, metadata=self._metadata
                )
                self.path = self._joined.path

    @property
    def frames(self) -> int:
        """Number of frames written so far."""
        return self._segment.frames

    @property
    def time_offset(self) -> Fraction:
        """Seconds that were added to every time, exact; known when the context has ended.

        It differs from 0 only if the source starts before 0 or more than ten seconds after 0.
        """
        return self._joined.time_offset if self._joined else Fraction(0)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each property that was not preserved; complete when the context ends."""
        return [*self._segment.warnings, *(self._joined.warnings if self._joined else ())]

    def write(self, image: Image | DeepImage, pts: int) -> None:
        """Write the next frame; see `SegmentWriter.write`."""
        self._segment.write(image, pts)

    def _remove_segment(self) -> None:
        with suppress(OSError):
            self._segment.path.unlink(missing_ok=True)
