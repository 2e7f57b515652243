"""Find the files that a user names, and choose the video stream of an opened one."""

from __future__ import annotations

import difflib
import glob
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from av.container.input import InputContainer
from av.video.stream import VideoStream

from jdsr_cli.errors import (
    InputError,
    InputMissingError,
    InputUnreadableError,
    MediaError,
    UsageError,
)
from jdsr_cli.media.containers import RECOPY
from jdsr_cli.media.folders import Note, media_in_folder, media_of_pattern
from jdsr_cli.media.own_results import OwnResults

_ATTACHED_PICTURE = 1 << 10
"""Disposition of a cover picture, which is not a video."""


_ITEM_TIME_BASE = 1
"""Time base that FFmpeg gives to the pictures of a HEIF file; tracks have smaller ones."""


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
            _refuse_broken_link(file)
            raise InputMissingError("no such file", where=file, hint="Check the spelling.")
        if file.is_dir():
            raise InputUnreadableError("is a folder", where=file, hint="Give a file in it.")
        _check_regular(file)
        # By its size: to read from a file of the kernel, which has none, may wait for ever.
        if not file.stat().st_size:
            raise MediaError("the file is empty (0 bytes)", where=file, hint=RECOPY)
        with file.open("rb") as stream:
            stream.read(1)
    except InputError:
        raise
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise InputUnreadableError(
            f"cannot be opened ({reason})", where=file, hint="Check its permissions."
        ) from exc
    return file


_SPECIAL = (
    (stat.S_ISFIFO, "a named pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)
"""Kinds of files that are no recordings: to open some of them waits for ever."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|(?:pipe|fd|concat|data|tcp|udp|rtp|rtsp|srt):", re.I)
"""What FFmpeg takes for an address, a pipe or a list of files."""
STANDARD_INPUT = "-"
"""Name that stands for standard input."""


def _check_regular(path: Path) -> None:
    """Check that an existing path is a file with a fixed content.

    Raises:
        InputUnreadableError: It is a pipe, a socket or a device.
        OSError: It cannot be examined.

    """
    mode = path.stat().st_mode
    for is_kind, name in _SPECIAL:
        if is_kind(mode):
            raise InputUnreadableError(
                f"is {name}, not a recording with a beginning and an end",
                where=path,
                hint="Save what it delivers to a file, or pass it to `jdsr restore - --stdin`.",
            )


def _refuse_broken_link(path: Path) -> None:
    """Refuse a symbolic link that leads to no file.

    Raises:
        InputMissingError: It is one.

    """
    if path.is_symlink():
        raise InputMissingError(
            f"is a link to {path.readlink()}, which does not exist",
            where=path,
            hint="Give the file itself.",
        )


def _refuse_address(name: str) -> None:
    """Refuse what is not the name of a file.

    Raises:
        InputUnreadableError: It is an address, or stands for standard input.

    """
    if name == STANDARD_INPUT:
        raise InputUnreadableError(
            "stands for standard input, which is read only where that is asked for",
            where=name,
            hint="Add --stdin.",
        )
    if _ADDRESS.match(name):
        raise InputUnreadableError(
            "is an address, and only files are read",
            where=name,
            hint="Record the stream to a file first, for example with ffmpeg -i ADDRESS -c copy.",
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
    # The cover of a HEIF sequence, and the tiles of a cover, come before its tracks.
    streams = [s for s in streams if s.time_base != _ITEM_TIME_BASE] or streams
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


def _ignore(message: str) -> None:
    """Receive a line for the user, and do nothing."""


def expand_inputs(
    paths: Sequence[str], note: Note = _ignore, out: Path | None = None
) -> tuple[list[Path], list[InputError]]:
    """Expand files, folders and glob patterns.

    A file is accepted whatever its suffix. A folder is expanded to the media files directly in it,
    in order of name. A glob pattern (`*`, `?`, `[...]`, `**` for any depth) is expanded to the
    files that match; files without a media suffix are excluded unless the pattern itself has a
    suffix. The pattern of a sequence (`shot_%05d.png`) is one input and is returned unchanged. A
    file that is given twice is returned once.

    What jdsr made itself is left out of folders and patterns: the folder of the results, and every
    folder that has a manifest of jdsr or lies in one that has. A file that is named is accepted.

    Args:
        paths: What the user named.
        note: Receives a line on what is left out of each folder and pattern.
        out: Folder of the results; None if there is none.

    Returns:
        The files in the order of `paths`, and one error for each name that matches no file.

    """
    files: dict[Path, Path] = {}
    errors: list[InputError] = []
    own = OwnResults(out)
    for name in paths:
        try:
            for file in _expand(name, note, own):
                files.setdefault(Path(os.path.realpath(file)), file)
        except InputError as exc:
            errors.append(exc)
    if paths and not (files or errors):
        errors.append(
            InputMissingError(
                "nothing but results of jdsr is here, and they are left out",
                where=paths[0],
                hint="Name a file of a result to process it.",
            )
        )
    return list(files.values()), errors


def _expand(name: str, note: Note, own: OwnResults) -> list[Path]:
    path = Path(name).expanduser()
    try:
        folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as exc:
        raise InputUnreadableError(f"cannot be opened ({exc})", where=name) from exc
    if name and exists:
        if folder:
            return media_in_folder(path, note, own)
        _check_regular(path)
        return [path]
    _refuse_address(name)
    if is_sequence(path):
        numbered_files(path)
        return [path]
    if glob.has_magic(name):
        return media_of_pattern(str(path), note, own)
    _refuse_broken_link(path)
    raise InputMissingError("no such file or folder", where=name or "''", hint=_similar(path))


def _similar(path: Path) -> str:
    try:
        names: Iterable[str] = [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError):
        names = []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"Did you mean {path.with_name(close[0])}?" if close else "Check the spelling."
