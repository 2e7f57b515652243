"""Choose how a video is read: as it is, as several recordings, or through a salvaged copy."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from pathlib import Path

from jdsr_cli.errors import MediaError, TooLargeError
from jdsr_cli.media.reading.data_references import external_references
from jdsr_cli.media.reading.isobmff import index_missing
from jdsr_cli.media.reading.joined import JoinedSource
from jdsr_cli.media.reading.pictures import PictureCount
from jdsr_cli.media.reading.recordings import Contents, find_recordings
from jdsr_cli.media.reading.salvage import TIMED_DEMUXERS, Salvage
from jdsr_cli.media.reading.video import VideoSource, is_video
from jdsr_cli.media.slices import FileSlice
from jdsr_cli.settings import ReadSettings

_PICTURE_START = b"\xff\xd8\xff"
"""Start of a Motion JPEG stream; FFmpeg loses pictures if other bytes come first."""


def open_video(
    file: Path, settings: ReadSettings, animation: PictureCount | None = None
) -> VideoSource | JoinedSource:
    """Open a video, through a salvaged copy if that gives more than the file itself.

    If the file contains several recordings, they are read one after another.

    Args:
        file: A file that exists and is not empty.
        settings: Options for reading.
        animation: Number of pictures, if the file is an animation.

    Raises:
        MediaError: No frame can be decoded, neither from the file nor from a salvaged copy.
        TooLargeError: Its frames have more pixels than the settings allow, or its index would fill
            the memory.
        OutputError: The temporary folder is full.
        UsageError: The file has fewer video streams than the chosen number.

    """
    contents = _with_unstructured(file, find_recordings(file))
    try:
        if len(contents.recordings) > 1:
            return JoinedSource(file, settings, contents)
        source = VideoSource(
            file, settings, animation=animation, notes=contents.notes, unknown=contents.unknown
        )
    except MediaError as error:
        if isinstance(error, TooLargeError) or index_missing(file) or external_references(file):
            raise
        salvage = Salvage(file, settings.max_pixels)
        salvaged = _salvaged(salvage, file, settings)
        if salvaged is None and salvage.messages:
            raise MediaError(
                f"{error.what}; salvage failed too ({salvage.messages[0]})",
                where=file,
                hint=error.hint,
            ) from error
        if salvaged is None:
            raise
        return _with_preceding(file, settings, salvaged)
    preferred = _preferred_formats(file, source)
    if preferred:
        try:
            salvaged = _salvaged(Salvage(file, settings.max_pixels, preferred), file, settings)
        except BaseException:
            source.close()
            raise
        if salvaged is not None and (salvaged.info.timestamps or "mjpeg" in preferred):
            source.close()
            return _with_preceding(file, settings, salvaged)
        if salvaged is not None:
            salvaged.close()
    return source


def _with_unstructured(file: Path, contents: Contents) -> Contents:
    """Return contents in which the parts that FFmpeg reads as a video are recordings.

    Elementary streams, for example, have no structure that is followed.
    """
    found = [part for part in contents.unknown if is_video(file, part)]
    recordings = sorted([*contents.recordings, *found], key=lambda part: part.start)
    unknown = tuple(part for part in contents.unknown if part not in found)
    return replace(contents, recordings=tuple(recordings), unknown=unknown)


def _with_preceding(
    file: Path, settings: ReadSettings, salvaged: VideoSource
) -> VideoSource | JoinedSource:
    """Return a salvaged stream, joined to the video that precedes it in the file if one does."""
    offset = salvaged.offset
    preceding = FileSlice(file, 0, offset)
    if not offset or not is_video(file, preceding):
        return salvaged
    salvaged.close()
    following = FileSlice(file, offset, file.stat().st_size)
    return JoinedSource(file, settings, Contents((preceding, following), ()))


def _salvaged(salvage: Salvage, file: Path, settings: ReadSettings) -> VideoSource | None:
    """Return the first copy from which a frame can be decoded, None if there is none."""
    for copy in salvage.copies():
        try:
            return VideoSource(file, settings, copy=copy)
        except MediaError as exc:
            copy.close()
            salvage.messages.append(f"as {copy.signature.demuxer}: {exc.what}")
        except BaseException:
            copy.close()
            raise
    return None


def _preferred_formats(file: Path, source: VideoSource) -> Container[str]:
    """Return the formats to search for in a file that can be read as it is.

    An elementary stream has no times. If it is part of a container that does not start at byte 0,
    the container has them.
    """
    if source.info.timestamps or source.info.kind != "video":
        return ()
    if source.info.container != "mjpeg":
        return TIMED_DEMUXERS
    with file.open("rb") as stream:
        starts_with_picture = stream.read(len(_PICTURE_START)) == _PICTURE_START
    return () if starts_with_picture else {*TIMED_DEMUXERS, "mjpeg"}
