"""Find the files that a user names, and open them as containers with a video stream."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.container.input import InputContainer
from av.video.stream import VideoStream

from jdsr_cli.errors import (
    InputError,
    InputMissingError,
    InputUnreadableError,
    MediaError,
    UsageError,
)
from jdsr_cli.media.reading.isobmff import index_missing
from jdsr_cli.media.slices import DataFile, FileSlice, path_of

_REFUSED_FORMATS = frozenset({"tty", "concat", "hls", "dash", "srt", "webvtt", "ass", "lrc"})
"""Text formats; some of them would open other files or render the text as pictures."""

_ATTACHED_PICTURE = 1 << 10
"""Disposition of a cover picture, which is not a video."""


def check_file(path: str | Path) -> Path:
    """Return `path` as a readable, non-empty file.

    Raises:
        InputMissingError: There is no such file.
        InputUnreadableError: It is a folder, or cannot be read.
        MediaError: It is empty.

    """
    file = Path(path)
    try:
        if not file.exists():
            raise InputMissingError("no such file", where=file, hint="Check the spelling.")
        if file.is_dir():
            raise InputUnreadableError("is a folder", where=file, hint="Give a file in it.")
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


def open_container(
    file: DataFile, demuxer: str | None = None, hwaccel: HWAccel | None = None
) -> InputContainer:
    """Open a container for reading.

    Args:
        file: A file that has passed `check_file`, or a part of one.
        demuxer: FFmpeg's name of the format; None to detect it.
        hwaccel: Device that decodes its videos; None for software.

    Raises:
        MediaError: It is not a container that FFmpeg can read.

    """
    try:
        # With an absolute path FFmpeg does not interpret "a:b.mp4" as a protocol.
        container = av.open(
            file.open() if isinstance(file, FileSlice) else str(file.absolute()),
            mode="r",
            format=demuxer,
            container_options={"protocol_whitelist": "file", "pattern_type": "none"},
            metadata_errors="replace",
            hwaccel=hwaccel,
        )
    except (av.FFmpegError, ValueError, OSError) as exc:
        raise _unopenable(file, exc) from exc
    if container.format.name in _REFUSED_FORMATS:
        container.close()
        raise MediaError(
            "contains text, not video", where=path_of(file), hint="Check what the file is."
        )
    return container


def _unopenable(file: DataFile, exc: Exception) -> MediaError:
    path = path_of(file)
    if index_missing(file):
        return MediaError(
            "the file ends before its index (no moov box): it was cut off while it was recorded "
            "or copied",
            where=path,
            hint=_RECOPY,
        )
    reason = getattr(exc, "strerror", None) or str(exc)
    return MediaError(
        f"is not a video or picture that can be decoded ({reason})",
        where=path,
        hint="Check what the file is, or convert it first.",
    )


@dataclass(frozen=True)
class ChosenStream:
    """The video stream that is read.

    Attributes:
        stream: The stream, whose codec is known.
        number: Its number among the video streams, from 1.
        count: Number of video streams, without cover pictures.

    """

    stream: VideoStream
    number: int
    count: int


def choose_stream(container: InputContainer, file: Path, number: int | None) -> ChosenStream:
    """Return the video stream of a number, from 1, or the first one whose codec is known.

    Raises:
        MediaError: There is no video stream, or its codec is unknown.
        UsageError: There are fewer video streams than `number`.

    """
    streams = [s for s in container.streams.video if not int(s.disposition) & _ATTACHED_PICTURE]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        contents = f"only {', '.join(kinds)}" if kinds else "no streams at all"
        raise MediaError(
            f"contains no video ({contents})", where=file, hint="Give a video or picture."
        )
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
    """Return the error for a stream number that the input does not have."""
    contents = "1 video stream" if count == 1 else f"{count} video streams"
    return UsageError(
        f"contains {contents}, not {number}",
        where=file,
        hint=f"Give --stream 1 to {count} or none.",
    )


def video_stream(container: InputContainer, file: Path) -> tuple[VideoStream, int]:
    """Return the first video stream that is not a cover picture, and the number of such streams.

    Raises:
        MediaError: There is no video stream, or its codec is unknown.

    """
    chosen = choose_stream(container, file, None)
    return chosen.stream, chosen.count


_VIDEO = """
    3g2 3gp asf avi dv flv m2ts m2v m4v mkv mov mp4 mpeg mpg mts mxf nut ogv ts vob webm wmv y4m
    264 265 avc dav h264 h265 hevc mjpeg mjpg ps
"""
_PICTURE = "apng avif bmp gif jfif jp2 jpe jpeg jpg pgm png pnm ppm tif tiff webp"

_NUMBER_FIELD = re.compile(r"%(?:0(\d{1,2}))?d")
"""Number field in a file name: `%d`, or `%05d` for at least five digits."""


@dataclass(frozen=True)
class NumberedFile:
    """A picture of a sequence.

    Attributes:
        number: The number in its name.
        path: The file.

    """

    number: int
    path: Path


def is_sequence(path: str | Path) -> bool:
    """Whether `path` is the pattern of a sequence: one number field, and no file of that name."""
    name = Path(path).name
    if len(_NUMBER_FIELD.findall(name)) != 1:
        return False
    try:
        return not Path(path).exists()
    except (OSError, ValueError):
        return False


def input_files(path: Path) -> list[Path]:
    """Return the files of an input: the file itself, or the pictures of a sequence.

    Raises:
        InputMissingError, InputUnreadableError: As `numbered_files`.

    """
    return [file.path for file in numbered_files(path)] if is_sequence(path) else [path]


def numbered_files(pattern: Path) -> list[NumberedFile]:
    """Return the files that match the pattern of a sequence, in order of their numbers.

    Raises:
        InputMissingError: There are no such files, or no such folder.
        InputUnreadableError: The folder cannot be listed.

    """
    number = next(_NUMBER_FIELD.finditer(pattern.name))
    before, after = pattern.name[: number.start()], pattern.name[number.end() :]
    width = int(number.group(1) or 0)
    name = re.compile(re.escape(before) + r"([0-9]+)" + re.escape(after))
    files = []
    try:
        for entry in pattern.parent.iterdir():
            match = name.fullmatch(entry.name)
            digits = match.group(1) if match else ""
            if digits and digits == f"{int(digits):0{width}d}" and entry.is_file():
                files.append(NumberedFile(int(digits), entry))
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise InputMissingError(
            "the folder of this sequence does not exist", where=pattern, hint="Check the spelling."
        ) from exc
    except OSError as exc:
        raise InputUnreadableError(
            f"the folder cannot be listed ({exc.strerror})",
            where=pattern,
            hint="Check its permissions.",
        ) from exc
    if not files:
        raise InputMissingError(
            "the sequence has no pictures", where=pattern, hint="Check the spelling."
        )
    return sorted(files, key=lambda file: file.number)


MEDIA_SUFFIXES = frozenset(f".{name}" for name in f"{_VIDEO} {_PICTURE}".split())
"""Suffixes, in lower case, of the files of a folder that are treated as media."""


def is_media_name(path: Path) -> bool:
    """Whether a file of a folder is treated as media: by its suffix; hidden files never are."""
    return path.suffix.lower() in MEDIA_SUFFIXES and not path.name.startswith(".")


def expand_inputs(paths: Sequence[str]) -> tuple[list[Path], list[InputError]]:
    """Expand files, folders and glob patterns.

    A file is accepted whatever its suffix. A folder is expanded to the media files directly in it,
    in order of name. A glob pattern (`*`, `?`, `[...]`, `**` for any depth) is expanded to the
    files that match; files without a media suffix are excluded unless the pattern itself has a
    suffix. The pattern of a sequence (`shot_%05d.png`) is one input and is returned unchanged. A
    file that is given twice is returned once.

    Returns:
        The files in the order of `paths`, and one error for each name that matches no file.

    """
    files: dict[Path, Path] = {}
    errors: list[InputError] = []
    for name in paths:
        try:
            for file in _expand(name):
                files.setdefault(Path(os.path.realpath(file)), file)
        except InputError as exc:
            errors.append(exc)
    return list(files.values()), errors


def _expand(name: str) -> list[Path]:
    path = Path(name).expanduser()
    try:
        folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as exc:
        raise InputUnreadableError(f"cannot be opened ({exc})", where=name) from exc
    if name and exists:
        return _folder(path) if folder else [path]
    if is_sequence(path):
        numbered_files(path)
        return [path]
    if glob.has_magic(name):
        return _pattern(str(path))
    raise InputMissingError("no such file or folder", where=name or "''", hint=_similar(path))


def _folder(folder: Path) -> list[Path]:
    try:
        entries = sorted(entry for entry in folder.iterdir() if is_media_name(entry))
    except OSError as exc:
        raise InputUnreadableError(
            f"the folder cannot be listed ({exc.strerror})",
            where=folder,
            hint="Check its permissions.",
        ) from exc
    files = [entry for entry in entries if entry.is_file()]
    if not files:
        raise InputMissingError(
            "no video or picture directly in this folder",
            where=folder,
            hint=f"For folders below it, quote a pattern: '{folder}/**/*'.",
        )
    return files


def _pattern(pattern: str) -> list[Path]:
    suffix = Path(pattern).suffix
    has_suffix = bool(suffix) and not glob.has_magic(suffix)
    files: list[Path] = []
    for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - absolute patterns
        path = Path(match)
        if path.is_file() and (has_suffix or is_media_name(path)):
            files.append(path)
    if not files:
        raise InputMissingError(
            "the pattern matches no video or picture", where=pattern, hint="Check the spelling."
        )
    return files


def _similar(path: Path) -> str:
    try:
        names: Iterable[str] = [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError):
        names = []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"Did you mean {path.with_name(close[0])}?" if close else "Check the spelling."
