"""Opening an input, with each way that can fail told in one line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import av
from av.container.input import InputContainer
from av.video.stream import VideoStream

from jdsr_cli.errors import (
    InputError,
    InputMissingError,
    InputUnreadableError,
    MediaError,
    UsageError,
)

_REFUSED_FORMATS = frozenset({"tty", "concat", "hls", "dash", "srt", "webvtt", "ass", "lrc"})
"""Formats that are text; some of them would open other files or make pictures of the text."""

_ATTACHED_PICTURE = 1 << 10
"""Disposition of a cover picture, which is no video."""


def check_file(path: str | Path) -> Path:
    """Return `path` as a readable, non-empty file.

    Raises:
        InputMissingError: Nothing is there.
        InputUnreadableError: It is a folder, or may not be read.
        MediaError: It is empty.

    """
    file = Path(path)
    try:
        if not file.exists():
            raise InputMissingError("no such file", where=file, hint="Check the spelling.")
        if file.is_dir():
            raise InputUnreadableError("is a folder", where=file, hint="Name a file in it.")
        with file.open("rb") as stream:
            if not stream.read(1):
                raise MediaError("the file is empty (0 bytes)", where=file, hint=_RECOPY)
    except InputError:
        raise
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise InputUnreadableError(
            f"cannot be opened ({reason})", where=file, hint="Check its permissions."
        ) from exc
    return file


_RECOPY = "Copy it again from the recorder."


def open_container(file: Path, demuxer: str | None = None) -> InputContainer:
    """Open a container for reading.

    Args:
        file: A file that has passed `check_file`.
        demuxer: FFmpeg's name of its format, where it is known; None to find out.

    Raises:
        MediaError: It is no container that can be decoded.

    """
    try:
        # An absolute path keeps FFmpeg from taking "a:b.mp4" for a protocol.
        container = av.open(
            str(file.absolute()),
            mode="r",
            format=demuxer,
            container_options={"protocol_whitelist": "file", "pattern_type": "none"},
            metadata_errors="replace",
        )
    except (av.FFmpegError, ValueError, OSError) as exc:
        raise _unopenable(file, exc) from exc
    if container.format.name in _REFUSED_FORMATS:
        container.close()
        raise MediaError("holds text, not video", where=file, hint="Check what the file is.")
    return container


def _unopenable(file: Path, exc: Exception) -> MediaError:
    if index_missing(file):
        return MediaError(
            "the file ends before its index (no moov box): it was cut off while it was recorded "
            "or copied",
            where=file,
            hint=_RECOPY,
        )
    reason = getattr(exc, "strerror", None) or str(exc)
    return MediaError(
        f"is not a video or picture that can be decoded ({reason})",
        where=file,
        hint="Check what the file is, or convert it first.",
    )


def index_missing(file: Path) -> bool:
    """Whether the file is of the MP4 family and lacks its index."""
    names = set()
    with file.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        position = 0
        while position + 8 <= end:
            stream.seek(position)
            header = stream.read(16)
            size, name = int.from_bytes(header[:4], "big"), header[4:8]
            if size == 1:
                size = int.from_bytes(header[8:16], "big")
            names.add(name)
            if size < 8 or len(names) > 64:
                break
            position += size
    return b"ftyp" in names and b"moov" not in names


@dataclass(frozen=True)
class ChosenStream:
    """The video stream that is read.

    Attributes:
        stream: The stream itself, its codec known.
        number: Its number among the video streams, from 1.
        count: Number of video streams, cover pictures not counted.

    """

    stream: VideoStream
    number: int
    count: int


def choose_stream(container: InputContainer, file: Path, number: int | None) -> ChosenStream:
    """Return the video stream of that number from 1, or the first whose codec is known.

    Raises:
        MediaError: There is none, or its codec is unknown.
        UsageError: There are fewer.

    """
    streams = [s for s in container.streams.video if not int(s.disposition) & _ATTACHED_PICTURE]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        held = f"only {', '.join(kinds)}" if kinds else "no streams at all"
        raise MediaError(f"holds no video ({held})", where=file, hint="Name a video or picture.")
    count = len(streams)
    if number is not None and number > count:
        raise no_such_stream(file, number, count)
    for position, stream in enumerate(streams, start=1):
        if number in (None, position) and stream.codec_context is not None:
            return ChosenStream(stream, position, count)
    raise MediaError(
        "its video codec is not known to this version of FFmpeg",
        where=file,
        hint="Convert it with the recorder's own software first.",
    )


def no_such_stream(file: Path, number: int, count: int) -> UsageError:
    """Return the error for a stream that the input does not hold."""
    held = "1 video stream" if count == 1 else f"{count} video streams"
    return UsageError(
        f"holds {held}, not {number}", where=file, hint=f"Give --stream 1 to {count} or none."
    )


def video_stream(container: InputContainer, file: Path) -> tuple[VideoStream, int]:
    """Return the first real video stream, and how many there are.

    Raises:
        MediaError: There is none, or its codec is unknown.

    """
    chosen = choose_stream(container, file, None)
    return chosen.stream, chosen.count
