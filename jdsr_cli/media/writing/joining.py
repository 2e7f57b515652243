"""Join segments with the sound and subtitles of the source.

Joining does not encode anything: packets of the segments are copied unchanged, so that a video
whose segments were written in several runs equals one written at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from jdsr_cli.atomic import create_partial, publish
from jdsr_cli.errors import MediaError, OutputError
from jdsr_cli.media.frames import MediaInfo
from jdsr_cli.media.later_recordings import LaterRecording
from jdsr_cli.media.writing.assembly import Assembly
from jdsr_cli.media.writing.clipping import TimeSpan
from jdsr_cli.media.writing.containers import (
    CONTAINER_NAMES,
    CONTAINERS,
    TracksRefusedError,
    choose_container,
    final_name,
)
from jdsr_cli.media.writing.formats import encoder_of
from jdsr_cli.media.writing.pauses import can_store_joined_pauses, can_store_pauses
from jdsr_cli.media.writing.refusals import reason_against
from jdsr_cli.media.writing.segment_files import Survey, survey_segments
from jdsr_cli.media.writing.time_bases import LONGEST_PAUSE
from jdsr_cli.media.writing.tracks import TrackCopier
from jdsr_cli.media.writing.verify import ExpectedContent, verify_file


@dataclass(frozen=True)
class JoinedVideo:
    """A video that was joined and verified.

    Attributes:
        path: The final name: .mp4, .mov if only QuickTime takes the sound as it is, or .mkv if only
            Matroska can hold the subtitles or a pause of many hours.
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

    The first packets of every track of sound and subtitles are tried in each container.

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
    source, and renamed; after an error it is removed. The segments are kept. If the container does
    not store the sound and subtitles, another one is taken; if none does, they are left out.

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
    join = _Join(Path(path), segments, survey_segments(segments), source, metadata, trimmed, later)
    refusals: dict[str, str] = {}
    while True:
        joined = join.write(refusals)
        if joined is not None:
            return joined


@dataclass(frozen=True)
class _Join:
    """What `join_segments` was asked for."""

    path: Path
    segments: Sequence[Path]
    survey: Survey
    source: MediaInfo
    metadata: Mapping[str, str] | None
    trimmed: bool
    later: Sequence[LaterRecording]

    def write(self, refusals: dict[str, str]) -> JoinedVideo | None:
        """Write the video in a container that has not refused the tracks; without them if all have.

        Args:
            refusals: Reasons by container. One is added if None is returned.

        """
        survey, source, trimmed = self.survey, self.source, self.trimmed
        with ExitStack() as stack:
            tracks, notes = _open_tracks(source, stack, self.later)
            pause = _find_pause(survey, source, tracks, trimmed=trimmed)
            unusable = {"mp4", "mov"} if pause is not None else set()
            if unusable.union(refusals).issuperset(CONTAINERS):
                notes.append("sound and subtitles could not be kept")
                tracks = None
            else:
                unusable |= refusals.keys()
            codec = survey.header.codec
            final, container = _choose_name(self.path, source, codec, tracks, unusable)
            notes += _reasons(container, tracks, pause, refusals)
            partial = create_partial(final)
            stack.callback(_remove, partial)
            assembly = Assembly(final, container, survey, source, tracks, trimmed)
            try:
                assembly.write(partial, self.segments, self.metadata or {})
                times, track_warnings = assembly.times, tracks.warnings() if tracks else []
                expected = ExpectedContent(
                    times,
                    assembly.stated_duration,
                    survey.header.width,
                    survey.header.height,
                    tracks.tallies if tracks else (),
                )
                track_differences = verify_file(partial, expected, final)
            except TracksRefusedError as refusal:
                refusals[container] = str(refusal)
                return None
            except OutputError as fault:
                if container != "matroska" or tracks is None or not tracks.tallies:
                    raise
                # Its muxer moves all times if sound starts before 0.
                refusals[container] = fault.what
                return None
            publish(partial, final)
        warnings = (*notes, *assembly.notes, *track_warnings, *track_differences)
        return JoinedVideo(final, times.count, warnings, assembly.time_offset)


def _reasons(
    container: str,
    tracks: TrackCopier | None,
    pause: str | None,
    refusals: Mapping[str, str],
) -> list[str]:
    """Return why the video is stored in another container than usual, or without tracks."""
    reasons = [] if pause is None else [pause]
    reasons += [
        f"{CONTAINER_NAMES[name]} does not store the tracks ({reason})"
        for name, reason in refusals.items()
    ]
    if container != "mp4" and tracks is not None and not reasons:
        reason = reason_against("mp4", tracks.kinds)
        reasons += [] if reason is None else [reason]
    return [f"stored as {CONTAINER_NAMES[container]}: {reason}" for reason in reasons]


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
    excluded: Collection[str] = (),
) -> tuple[Path, str]:
    """Return the final name, and FFmpeg's name of the container, which is none of `excluded`."""
    kinds = tracks.kinds if tracks else []
    container = choose_container(encoder_of(codec), source.time_base, kinds, excluded)
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
