"""Joining the segments of a video into its final file, with the sound and subtitles beside it.

Nothing is encoded here: the packets of the segments go into the final file as they are, so that
a video whose segments were made in several runs equals one that was made at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from jdsr_cli.atomic import create_partial, publish
from jdsr_cli.errors import MediaError, OutputError
from jdsr_cli.media.assembly import Assembly
from jdsr_cli.media.containers import choose_container, final_name
from jdsr_cli.media.encoding import encoder_of
from jdsr_cli.media.info import MediaInfo
from jdsr_cli.media.survey import survey_segments
from jdsr_cli.media.tracks import TrackCopier
from jdsr_cli.media.verify import Expected, verify


@dataclass(frozen=True)
class JoinedVideo:
    """A video that was put together and checked.

    Attributes:
        path: The final name: .mp4, .mov where only QuickTime can hold the sound as it is, or
            .mkv where only Matroska can hold the subtitles.
        frames: Number of its frames.
        warnings: One sentence for each thing that could not be kept.
        time_offset: Seconds that were added to every time, exact. Not 0 only for a part of the
            source, or where the source starts before 0 or more than ten seconds after.

    """

    path: Path
    frames: int
    warnings: tuple[str, ...]
    time_offset: Fraction


def plan_output(path: str | Path, source: MediaInfo, codec: str = "h264") -> Path:
    """Return the final name that an output of `source` will get, seeing that it can be written.

    Args:
        path: The name that is wished for.
        source: Where frames, sound and subtitles come from.
        codec: Name of the codec that is written ("h264"); see `SegmentWriter.codec`.

    Raises:
        OutputError: The place is missing, full, read-only, a folder, or the source itself.
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
) -> JoinedVideo:
    """Put segments together, with the sound and subtitles of their source, without encoding.

    Times stay the same rationals that were given to `SegmentWriter`, but for `time_offset`.
    Pixel aspect, colour tags, range and metadata of the source are kept; the matrix is always
    tagged. The file is written under a temporary name in the same folder, re-opened, compared
    with what the segments and the source held, and renamed; on an error nothing is left of it.
    The segments stay.

    Args:
        path: The output; its suffix follows the container, see `plan_output`.
        segments: Files by `SegmentWriter` in order of time, all of one codec and size.
        source: What the frames came from.
        metadata: More metadata to store, before that of the source.
        trimmed: The segments hold a part of the source only: times are moved so that the first
            frame is at 0, and only sound and subtitles of that part are kept.

    Raises:
        OutputError: The place is missing, full, read-only or the source itself; a segment is
            missing, not complete, out of order, or of another kind than the first.
        MediaError: The source can no longer be opened to copy its sound.

    """
    survey = survey_segments(segments)
    with ExitStack() as stack:
        tracks, notes = _open_tracks(source, stack)
        final, container = _choose_name(Path(path), source, survey.header.codec, tracks)
        partial = create_partial(final)
        stack.callback(_remove, partial)
        job = Assembly(final, container, survey, source, tracks, trimmed)
        job.write(partial, segments, metadata or {})
        times, lost = job.times, tracks.warnings() if tracks else []
        expected = Expected(
            times,
            job.stated_duration,
            survey.header.width,
            survey.header.height,
            tracks.tallies if tracks else (),
        )
        differing = verify(partial, expected, final)
        publish(partial, final)
    warnings = (*notes, *job.notes, *lost, *differing)
    return JoinedVideo(final, times.count, warnings, job.time_offset)


def _open_tracks(source: MediaInfo, stack: ExitStack) -> tuple[TrackCopier | None, list[str]]:
    """Open the sound and subtitles of a video; a salvaged one may not open any more."""
    if source.kind != "video":
        return None, []
    try:
        tracks = TrackCopier(source)
    except MediaError as exc:
        if not source.salvaged:
            raise
        return None, [f"sound and subtitles could not be read: {exc.what}"]
    stack.callback(tracks.close)
    return tracks, []


def _choose_name(
    path: Path, source: MediaInfo, codec: str, tracks: TrackCopier | None
) -> tuple[Path, str]:
    """Return the final name and FFmpeg's name of the container."""
    kinds = tracks.kinds if tracks else []
    container = choose_container(encoder_of(codec), source.time_base, kinds)
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
