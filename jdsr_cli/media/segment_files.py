"""Reading segments back, packet by packet, with each way that one can be spoilt told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container.input import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from jdsr_cli.errors import MediaError, OutputError
from jdsr_cli.media.opening import open_container

FIRST_PTS = "jdsr_first_pts"
"""Metadata key: time of the first frame, in units of the source's time base."""

TIME_BASE = "jdsr_time_base"
"""Metadata key: that time base, in seconds."""

_INDEX_START = b"NX\xdd\x67\x2f\x23\xe6\x4e"
"""Startcode of the index that a complete NUT file ends in (NUT specification, "index")."""

_INDEX_TAIL = 12
"""Bytes at the very end: the length of the index (8) and its checksum (4)."""

_HINT = "The disk may be failing."


@dataclass(frozen=True)
class SegmentHeader:
    """What all segments of a video have in common.

    Attributes:
        codec: Name of the codec.
        width: Width as stored, in pixels.
        height: Height as stored, in pixels.
        time_base: Seconds per tick, exact: that of the source.
        extradata: The codec's global headers.

    """

    codec: str
    width: int
    height: int
    time_base: Fraction
    extradata: bytes


class Segment:
    """An opened segment.

    Args:
        container: The opened file.
        path: Its name, for messages.

    Attributes:
        header: What it has in common with the other segments.
        stream: Its video.

    Raises:
        OutputError: It was not written by `SegmentWriter`.

    """

    def __init__(self, container: InputContainer, path: Path) -> None:
        self._container = container
        self._path = path
        texts = container.metadata
        videos = container.streams.video
        if container.format.name != "nut" or len(videos) != 1 or FIRST_PTS not in texts:
            raise _spoilt(path, "is no segment of a video")
        self.stream: VideoStream = videos[0]
        try:
            self._first = int(texts[FIRST_PTS])
            time_base = Fraction(texts[TIME_BASE])
        except (KeyError, ValueError, ZeroDivisionError) as exc:
            raise _spoilt(path, "is no segment of a video") from exc
        context = self.stream.codec_context
        self.header = SegmentHeader(
            codec=context.codec.canonical_name,
            width=context.width,
            height=context.height,
            time_base=time_base,
            extradata=context.extradata or b"",
        )

    def packets(self) -> Iterator[tuple[int, Packet[VideoStream]]]:
        """Yield the time, in units of the header's time base, and each packet as decoded.

        Raises:
            OutputError: It cannot be read to its end.

        """
        assert self.stream.time_base is not None
        unit = self.stream.time_base / self.header.time_base
        try:
            for packet in self._container.demux(self.stream):
                if not packet.size:
                    continue
                ticks = None if packet.pts is None else packet.pts * unit
                if ticks is None or ticks.denominator != 1 or packet.is_corrupt:
                    raise _spoilt(self._path, "holds a damaged packet")
                yield self._first + int(ticks), packet
        except av.FFmpegError as exc:
            raise _spoilt(self._path, f"cannot be read ({exc.strerror})") from exc


@contextmanager
def open_segment(path: Path) -> Iterator[Segment]:
    """Open a segment that `SegmentWriter` completed.

    Raises:
        OutputError: It is missing, was cut off, or is something else.

    """
    try:
        complete = _ends_in_index(path)
    except FileNotFoundError as exc:
        raise _spoilt(path, "a segment of the video is missing") from exc
    except OSError as exc:
        raise _spoilt(path, f"a segment cannot be read ({exc.strerror})") from exc
    if not complete:
        raise _spoilt(path, "a segment of the video is not complete")
    try:
        container = open_container(path)
    except MediaError as exc:
        raise _spoilt(path, f"a segment {exc.what}") from exc
    with container:
        yield Segment(container, path)


def _ends_in_index(path: Path) -> bool:
    """Whether a NUT file is complete: its last bytes tell where its index starts."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < _INDEX_TAIL:
            return False
        file.seek(size - _INDEX_TAIL)
        start = size - int.from_bytes(file.read(8), "big")
        if start < 0:
            return False
        with suppress(OSError):
            file.seek(start)
            return file.read(len(_INDEX_START)) == _INDEX_START
    return False


def _spoilt(path: Path, what: str) -> OutputError:
    return OutputError(what, where=path, hint=_HINT)
