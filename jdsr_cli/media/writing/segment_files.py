"""Read segments packet by packet, and check before joining that they match."""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from math import gcd
from pathlib import Path

import av
from av.container.input import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from jdsr_cli.errors import MediaError, OutputError
from jdsr_cli.media.containers import open_container

FIRST_PTS = "jdsr_first_pts"
"""Metadata key: time of the first frame, in units of the source's time base."""

TIME_BASE = "jdsr_time_base"
"""Metadata key: that time base, in seconds."""

_INDEX_START = b"NX\xdd\x67\x2f\x23\xe6\x4e"
"""Start code of the index at the end of a complete NUT file (NUT specification, "index")."""

_INDEX_TRAILER = 12
"""Last bytes of the file: the length of the index (8) and its checksum (4)."""

_HINT = "The disk may be failing."


_REORDER_WINDOW = 64
"""Number of previous packets that are compared; no codec reorders by more than 16 pictures."""


@dataclass
class ReorderDepth:
    """Compute by how many packets decoding must precede presentation.

    Attributes:
        depth: Largest number of packets that are presented after a packet decoded later.

    """

    depth: int = 0
    _recent: deque[int] = field(default_factory=lambda: deque(maxlen=_REORDER_WINDOW))

    def add(self, pts: int) -> None:
        """Add the presentation time of the next packet in decoding order."""
        self.depth = max(self.depth, sum(earlier > pts for earlier in self._recent))
        self._recent.append(pts)


@dataclass(frozen=True)
class SegmentHeader:
    """Properties that all segments of a video have in common.

    Attributes:
        codec: Name of the codec.
        width: Width as stored, in pixels.
        height: Height as stored, in pixels.
        time_base: Seconds per tick of the source, exact.
        extradata: Global headers of the codec.

    """

    codec: str
    width: int
    height: int
    time_base: Fraction
    extradata: bytes


class SegmentReader:
    """An opened segment.

    Args:
        container: The opened file.
        path: Name of the file, for messages.

    Attributes:
        header: Properties that all segments of the video have in common.
        stream: The video stream.

    Raises:
        OutputError: The file was not written by `SegmentWriter`.

    """

    def __init__(self, container: InputContainer, path: Path) -> None:
        self._container = container
        self._path = path
        texts = container.metadata
        videos = container.streams.video
        if container.format.name != "nut" or len(videos) != 1 or FIRST_PTS not in texts:
            raise _segment_error(path, "is not a segment of a video")
        self.stream: VideoStream = videos[0]
        try:
            self._first = int(texts[FIRST_PTS])
            time_base = Fraction(texts[TIME_BASE])
        except (KeyError, ValueError, ZeroDivisionError) as exc:
            raise _segment_error(path, "is not a segment of a video") from exc
        context = self.stream.codec_context
        self.header = SegmentHeader(
            codec=context.codec.canonical_name,
            width=context.width,
            height=context.height,
            time_base=time_base,
            extradata=context.extradata or b"",
        )

    def packets(self) -> Iterator[tuple[int, Packet[VideoStream]]]:
        """Yield each packet in decoding order, with its time in units of the header's time base.

        Raises:
            OutputError: The segment cannot be read to its end.

        """
        assert self.stream.time_base is not None
        unit = self.stream.time_base / self.header.time_base
        try:
            for packet in self._container.demux(self.stream):
                if not packet.size:
                    continue
                ticks = None if packet.pts is None else packet.pts * unit
                if ticks is None or ticks.denominator != 1 or packet.is_corrupt:
                    raise _segment_error(self._path, "contains a damaged packet")
                yield self._first + int(ticks), packet
        except av.FFmpegError as exc:
            raise _segment_error(self._path, f"cannot be read ({exc.strerror})") from exc


@contextmanager
def open_segment(path: Path) -> Iterator[SegmentReader]:
    """Open a segment that `SegmentWriter` completed.

    Raises:
        OutputError: The file is missing, truncated, or not a segment.

    """
    try:
        complete = _ends_in_index(path)
    except FileNotFoundError as exc:
        raise _segment_error(path, "a segment of the video is missing") from exc
    except OSError as exc:
        raise _segment_error(path, f"a segment cannot be read ({exc.strerror})") from exc
    if not complete:
        raise _segment_error(path, "a segment of the video is not complete")
    try:
        container = open_container(path)
    except MediaError as exc:
        raise _segment_error(path, f"a segment {exc.what}") from exc
    with container:
        yield SegmentReader(container, path)


def _ends_in_index(path: Path) -> bool:
    """Whether a NUT file is complete: its last bytes locate its index."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < _INDEX_TRAILER:
            return False
        file.seek(size - _INDEX_TRAILER)
        start = size - int.from_bytes(file.read(8), "big")
        if start < 0:
            return False
        with suppress(OSError):
            file.seek(start)
            return file.read(len(_INDEX_START)) == _INDEX_START
    return False


def _segment_error(path: Path, what: str) -> OutputError:
    return OutputError(what, where=path, hint=_HINT)


SPAN = 20
"""Frames in order of presentation between which no packet is reordered by encoders used here."""

_LATEST_KEPT = 65
"""Number of latest times that are stored: one more than the greatest depth of reordering."""


@dataclass(frozen=True)
class Survey:
    """Frames and times of all segments of a video, in ticks of the header's time base.

    Attributes:
        header: Properties that the segments have in common.
        frames: Number of frames.
        first: Time of the first frame.
        latest: Times of the last frames, increasing; more than `depth` if there are as many.
        last_decoded: Time of the frame that is decoded last.
        depth: Number of packets by which decoding must precede presentation.
        divisor: Greatest common divisor of the times, counted from the first frame.
        widest: Longest time from a frame to the one that is presented `SPAN` frames later: no
            packet is decoded earlier before its presentation, and none lasts longer.

    """

    header: SegmentHeader
    frames: int
    first: int
    latest: Sequence[int]
    last_decoded: int
    depth: int
    divisor: int
    widest: int

    @property
    def last(self) -> int:
        """Time of the last frame."""
        return self.latest[-1]

    @property
    def step(self) -> int | None:
        """Time between the last two frames, None if there is only one frame."""
        return self.latest[-1] - self.latest[-2] if self.frames > 1 else None

    def lead(self, last_duration: int) -> int:
        """Return the ticks by which the first packet is decoded before it is presented.

        MP4 defines the duration of a track from the first decoding time to the end of the packet
        that is decoded last. With this lead it equals that of the pictures: at a constant rate the
        lead is `depth` frames.

        Args:
            last_duration: Duration of the last frame in ticks.

        """
        end = self.latest[-1] + last_duration
        next_pts = min((pts for pts in self.latest if pts > self.last_decoded), default=end)
        before = self.latest[-1 - self.depth] if self.frames > self.depth else self.first
        return max(end - before - (next_pts - self.last_decoded), self.depth)

    def rescaled(self, shift: int, factor: Fraction) -> Survey:
        """Return the survey with `shift` added to all times, in units that are shorter by `factor`.

        Times are rounded.
        """

        def scale(time: int) -> int:
            return round((time + shift) * factor)

        return replace(
            self,
            first=scale(self.first),
            latest=tuple(map(scale, self.latest)),
            widest=math.ceil(self.widest * factor),
            last_decoded=scale(self.last_decoded),
        )


def survey_segments(segments: Sequence[Path]) -> Survey:
    """Read all packets of the segments, in constant memory.

    Raises:
        OutputError: There is no segment; or one is missing, incomplete, out of order, or differs
            from the first in codec, size or time base.

    """
    if not segments:
        raise OutputError("no frames were written", hint="Check the input.")
    header: SegmentHeader | None = None
    frames, first, last_decoded = 0, 0, 0
    latest: list[int] = []
    divisor = widest = 0
    reordering = ReorderDepth()
    for path in segments:
        earliest: int | None = None
        before = latest[-1] if latest else 0
        with open_segment(path) as segment:
            header = header or segment.header
            _compare(segment.header, header, path)
            for pts, packet in segment.packets():
                if earliest is None and not packet.is_keyframe:
                    raise OutputError("does not start with a key frame", where=path, hint=_HINT)
                earliest = pts if earliest is None else min(earliest, pts)
                insort(latest, pts)
                divisor = gcd(divisor, pts - latest[0])
                if len(latest) > _LATEST_KEPT:
                    widest = max(widest, latest[SPAN] - latest[0])
                    del latest[0]
                last_decoded = pts
                frames += 1
                reordering.add(pts)
        if earliest is None:
            raise OutputError("a segment of the video contains no frames", where=path, hint=_HINT)
        if header is segment.header:
            first = earliest
        elif earliest <= before:
            raise OutputError(
                "a segment of the video starts before the end of the previous one",
                where=path,
                hint=_HINT,
            )
    assert header is not None
    spans = (late - early for early, late in zip(latest, latest[SPAN:], strict=False))
    widest = max(widest, latest[-1] - latest[-SPAN:][0], *spans)
    depth = reordering.depth
    return Survey(header, frames, first, tuple(latest), last_decoded, depth, divisor, widest)


def _compare(header: SegmentHeader, expected: SegmentHeader, path: Path) -> None:
    for attribute in fields(SegmentHeader):
        if getattr(header, attribute.name) == getattr(expected, attribute.name):
            continue
        label = attribute.name.replace("_", " ")
        if attribute.name == "extradata":
            label = "encoder settings"
            values = ""
        else:
            actual, first = getattr(header, attribute.name), getattr(expected, attribute.name)
            values = f" ({actual} instead of {first})"
        raise OutputError(
            f"a segment of the video has another {label} than the first{values}",
            where=path,
            hint=_HINT,
        )
