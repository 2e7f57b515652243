"""Find a stream in an unreadable or damaged file and copy it without re-encoding.

Recorders write proprietary headers before the stream, and copies of recordings are truncated. Where
PyAV cannot open a file, the part from the start of a stream on is copied to a temporary file: an
elementary stream packet by packet (`-c copy`) by the ffmpeg program of imageio-ffmpeg, a container
byte by byte, since remuxing would lose its rotation, rate and missing times. A container that
cannot be read after that is remuxed by ffmpeg. No library replaces this search: the probing of
FFmpeg, and so PyAV, does not find a stream after the header of a recorder.

The patterns are those of the standards: ITU-T H.264 and H.265 Annex B with their parameter sets,
ISO/IEC 13818-1 (transport and program stream), 13818-2 and 14496-2 (start codes), and the
signatures of AVI, Matroska, MP4 and Dahua's DHAV.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jdsr_cli.atomic import output_error
from jdsr_cli.errors import OutputError
from jdsr_cli.media.ffmpeg_program import (
    check_disk,
    find_program,
    last_message,
    limits,
    run_program,
)
from jdsr_cli.parallel import check_stopped
from jdsr_cli.temporary_folders import TemporaryFolder

_SEARCH_LENGTH = 16 << 20
"""Number of bytes from the start of a file that are searched."""

_MAX_DISTANCE = 1024
"""Number of bytes within which the second code of a pattern must follow the first."""

_MIN_JPEG_RUN = 3
"""Number of consecutive JPEG pictures that make a Motion JPEG stream; fewer may be photographs
in another file."""

_DOCUMENTS = (b"%PDF", b"PK\x03\x04", b"{\\rtf", b"\xd0\xcf\x11\xe0", b"ID3", b"OggS", b"fLaC")
"""First bytes of files that may contain pictures but are not footage."""


@dataclass(frozen=True)
class Signature:
    """A position at which a stream may start.

    Attributes:
        demuxer: FFmpeg's name of the format.
        offset: Byte of the file at which the stream starts.

    """

    demuxer: str
    offset: int


_CONTAINERS = {
    "mov": rb"[\x00-\xff]{4}ftyp[0-9A-Za-z ]{4}",
    "matroska": rb"\x1a\x45\xdf\xa3[\x00-\xff]{1,60}?\x42\x82[\x00-\xff](?:matroska|webm)",
    "avi": rb"RIFF[\x00-\xff]{4}AVI LIST",
    "dhav": rb"DHAV[\xf0\xf1\xfb\xfc\xfd]",
    "mpegts": rb"\x47(?=(?:[\x00-\xff]{187}\x47){5})",
    "mpeg": rb"\x00\x00\x01\xba(?:[\x44-\x47\x4c-\x4f\x54-\x57\x5c-\x5f]|[\x21\x23\x25\x27-\x2f])",
}
"""Formats with times, which are therefore preferred."""

TIMED_DEMUXERS = frozenset(_CONTAINERS)
"""Names of the formats with times."""

_STREAMS = {
    "h264": (
        rb"\x00\x00\x01[\x27\x47\x67][\x42\x4d\x58\x64\x6e\x7a\xf4]",
        rb"\x00\x00\x01[\x28\x48\x68]",
    ),
    "hevc": (rb"\x00\x00\x01\x40[\x01-\x07]", rb"\x00\x00\x01\x42[\x01-\x07]"),
    "mpegvideo": (rb"\x00\x00\x01\xb3", rb"\x00\x00\x01\xb8"),
    "m4v": (rb"\x00\x00\x01[\x00-\x1f]\x00\x00\x01[\x20-\x2f]", rb"\x00\x00\x01\xb6"),
}  # fmt: skip
"""Elementary streams: the code that they start with, and one that must follow."""

_JPEG = re.compile(rb"\xff\xd8\xff[\xc0\xc4\xdb\xe0-\xef\xfe]")
_JPEG_END = re.compile(rb"\xff\xd9")


def find_signatures(file: Path) -> list[Signature]:
    """Return the positions where footage may start, most likely first; empty if none is found.

    Raises:
        OSError: The file cannot be read.

    """
    with file.open("rb") as stream:
        data = stream.read(_SEARCH_LENGTH)
    if data.startswith(_DOCUMENTS):
        return []
    return sorted(_containers(data), key=lambda found: found.offset) + list(_streams(data))


def find_stream(data: bytes, other_than: Container[str]) -> Signature | None:
    """Return the first position in `data` where an elementary stream or one of DHAV may start.

    Args:
        data: The bytes.
        other_than: FFmpeg's names of formats that are not searched.

    """
    found = [*_containers(data, {"dhav"}), *_streams(data)]
    places = (one for one in found if one.demuxer not in other_than)
    return min(places, key=lambda one: one.offset, default=None)


def _containers(data: bytes, only: Container[str] = TIMED_DEMUXERS) -> Iterator[Signature]:
    for demuxer, pattern in _CONTAINERS.items():
        match = re.search(pattern, data) if demuxer in only else None
        if match is not None:
            yield Signature(demuxer, match.start())


def _streams(data: bytes) -> Iterator[Signature]:
    for demuxer, (first, second) in _STREAMS.items():
        follows = re.compile(second)
        for match in re.finditer(first, data):
            if follows.search(data, match.end(), match.end() + _MAX_DISTANCE):
                yield Signature(demuxer, _with_zero(data, match.start()))
                break
    start = _JPEG.search(data)
    if start is not None and _pictures(data, start.start()) >= _MIN_JPEG_RUN:
        yield Signature("mjpeg", start.start())


def _with_zero(data: bytes, offset: int) -> int:
    """Return the position of a start code, including the zero byte of a four-byte one."""
    return offset - 1 if offset and data[offset - 1] == 0 else offset


def _pictures(data: bytes, start: int) -> int:
    """Return the number of consecutive JPEG pictures, up to `_MIN_JPEG_RUN`."""
    count = 0
    while count < _MIN_JPEG_RUN:
        end = _JPEG_END.search(data, start)
        if end is None:
            return count
        count += 1
        after = _JPEG.search(data, end.end(), end.end() + _MAX_DISTANCE)
        if after is None:
            return count
        start = after.start()
    return count


_RAW_MUXERS = {
    "h264": "h264",
    "hevc": "hevc",
    "mpegvideo": "mpeg2video",
    "m4v": "m4v",
    "mjpeg": "mjpeg",
}
"""Demuxer of an elementary stream to the muxer that stores it, without times."""

REMUXED = "nut"
"""Format of a remuxed copy, which keeps any time base and negative times. The rate and the duration
in its header are guesses of the muxer."""

_MAX_CANDIDATES = 4
"""Maximum number of positions in a file that are tried."""

_BLOCK = 1 << 20
_MIN_SECONDS = 30.0
_BYTES_PER_SECOND = 1_000_000
"""Time limit of a copy: a constant plus the size at the speed of a slow network drive."""


@dataclass(frozen=True)
class SalvagedCopy:
    """A temporary copy of a stream in a file.

    Attributes:
        path: The copy.
        demuxer: FFmpeg's name of the format of the copy.
        signature: Format and position of the stream in the original file.

    """

    path: Path
    demuxer: str
    signature: Signature
    _folder: TemporaryFolder

    @property
    def description(self) -> str:
        """Sentence for the user."""
        skipped = f" after {self.signature.offset} other bytes" if self.signature.offset else ""
        return (
            f"the file could not be read as it is: a {self.signature.demuxer} stream found in "
            f"it{skipped} was salvaged by a stream copy"
        )

    def close(self) -> None:
        """Remove the copy."""
        with suppress(OSError):
            self._folder.remove()


class Salvage:
    """Creates copies of the streams in a file.

    Args:
        file: The file.
        max_pixels: Largest number of pixels of a frame that is decoded to describe a stream.
        only: FFmpeg's names of the formats to search for; None for all.

    Attributes:
        messages: Messages of ffmpeg, one short line for each attempt that failed.

    """

    def __init__(self, file: Path, max_pixels: int, only: Container[str] | None = None) -> None:
        self._file = file
        self._max_pixels = max_pixels
        self._only = only
        self.messages: list[str] = []

    def copies(self) -> Iterator[SalvagedCopy]:
        """Yield each copy that could be created, the most likely first; the caller closes it.

        Raises:
            OutputError: The temporary folder is full or read-only.

        """
        try:
            signatures = find_signatures(self._file)
            if self._only is not None:
                signatures = [item for item in signatures if item.demuxer in self._only]
            program = find_program() if signatures else ""
        except (OSError, RuntimeError) as exc:
            self.messages.append(last_message(str(exc)))
            return
        for signature in signatures[:_MAX_CANDIDATES]:
            demuxer = signature.demuxer
            if signature.offset and demuxer in TIMED_DEMUXERS:
                yield from self._create_copy(signature, demuxer, demuxer, self._copy_bytes)
            muxer = _RAW_MUXERS.get(demuxer, REMUXED)
            reader = demuxer if muxer != REMUXED else REMUXED
            yield from self._create_copy(signature, muxer, reader, partial(self._remux, program))

    def _create_copy(
        self,
        signature: Signature,
        suffix: str,
        demuxer: str,
        write: Callable[[Signature, str, Path], bool],
    ) -> Iterator[SalvagedCopy]:
        """Yield a copy in a new temporary folder, which is removed if copying fails."""
        try:
            folder = TemporaryFolder()
        except OSError as exc:
            raise _temporary_folder_error(exc) from exc
        target = folder.path / f"copy.{suffix}"
        succeeded = False
        try:
            size = self._file.stat().st_size - signature.offset
            if shutil.disk_usage(folder.path).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            succeeded = write(signature, suffix, target) and target.stat().st_size > 0
        except OSError as exc:
            raise _temporary_folder_error(exc) from exc
        finally:
            if not succeeded:
                folder.remove()
        if succeeded:
            yield SalvagedCopy(target, demuxer, signature, folder)

    def _remux(self, program: str, signature: Signature, muxer: str, target: Path) -> bool:
        """Copy the stream with ffmpeg; return whether it succeeded."""
        command = _command(program, self._file, signature, muxer, target, self._max_pixels)
        limit = _MIN_SECONDS + self._file.stat().st_size / _BYTES_PER_SECOND
        done, message = run_program(command, limit)
        check_disk(message)
        if done and target.exists():
            return True
        self.messages.append(f"as {signature.demuxer}: {last_message(message)}")
        return False

    def _copy_bytes(self, signature: Signature, _: str, target: Path) -> bool:
        """Copy the bytes from the start of the stream to the end of the file."""
        with self._file.open("rb") as source, target.open("wb") as copy:
            source.seek(signature.offset)
            while block := source.read(_BLOCK):
                check_stopped()
                copy.write(block)
        return True


def _command(
    program: str, file: Path, signature: Signature, muxer: str, target: Path, max_pixels: int
) -> list[str]:
    """Return the command line of ffmpeg: a fixed demuxer, no other files, unchanged times."""
    source = f"file:{file.absolute()}"
    if signature.offset:
        source = f"subfile,,start,{signature.offset},end,0,,:{source}"
    timing = ["-copyts", "-avoid_negative_ts", "disabled"] if muxer == REMUXED else []
    return [
        program, "-nostdin", "-hide_banner", "-loglevel", "error", "-y",
        *limits(("file", "subfile"), max_pixels), "-f", signature.demuxer, "-i", source,
        "-map", "0:v", "-map", "0:a?", "-c", "copy", *timing, "-f", muxer, f"file:{target}",
    ]  # fmt: skip


def _temporary_folder_error(exc: OSError) -> OutputError:
    """Return the error for a temporary folder that cannot hold the copy."""
    folder = Path(tempfile.gettempdir())
    what = output_error(exc, folder).what
    return OutputError(
        f"the copy that salvages the file {what}",
        where=folder,
        hint="Free some space there, or choose another folder with TMPDIR.",
    )
