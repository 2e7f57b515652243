"""Combine the packets of segments, sound and subtitles in one file, each at its time.

Packets are stored in decoding order and each has two times: of decoding and of presentation. The
encoder of a segment has no times of the others, so decoding times are computed here for
the whole stream: that of packet `i` is the `i`-th smallest presentation time minus the reordering
delay. They increase strictly, and none is later than its presentation time, at any frame rate.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Generic, TypeVar

import av
from av.container.output import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from jdsr_cli.atomic import output_error
from jdsr_cli.errors import OutputError
from jdsr_cli.media.frames import MediaInfo
from jdsr_cli.media.writing.containers import movie_timescale
from jdsr_cli.media.writing.formats import nominal_rate, tag_picture
from jdsr_cli.media.writing.segment_files import SegmentReader, Survey, open_segment
from jdsr_cli.media.writing.tracks import TimeSpan, TrackCopier
from jdsr_cli.media.writing.verify import TimeTally
from jdsr_cli.settings import DEFAULT_FRAME_RATE

Payload = TypeVar("Payload")


@dataclass(frozen=True)
class TimedPacket(Generic[Payload]):
    """A packet with all its times, in ticks.

    Attributes:
        payload: The packet.
        pts: Presentation time.
        dts: Decoding time.
        duration: Duration of presentation.

    """

    payload: Payload
    pts: int
    dts: int
    duration: int


def assign_decoding_times(
    packets: Iterable[tuple[int, Payload]], depth: int, lead: int, last_duration: int
) -> Iterator[TimedPacket[Payload]]:
    """Yield packets with their decoding times and durations; buffer only a few of them.

    Args:
        packets: Presentation time and packet, in decoding order; all times are different.
        depth: Depth of reordering, from `ReorderDepth`.
        lead: Ticks from the first decoding to the first presentation, see `Survey.lead`; at least
            `depth`.
        last_duration: Duration of the last packet in presentation order.

    """
    unassigned: list[int] = []
    waiting: deque[tuple[int, Payload]] = deque()
    decoding: deque[int] = deque()
    next_pts: dict[int, int] = {}
    previous: int | None = None

    def assign_earliest() -> None:
        """Assign the earliest time, before which no later packet can be presented."""
        nonlocal previous
        pts = heapq.heappop(unassigned)
        if previous is None:
            decoding.extend(pts - lead + lead * number // depth for number in range(depth))
        else:
            next_pts[previous] = pts
        decoding.append(pts)
        previous = pts

    def ready() -> Iterator[TimedPacket[Payload]]:
        while waiting and waiting[0][0] in next_pts:
            pts, payload = waiting.popleft()
            yield TimedPacket(payload, pts, decoding.popleft(), next_pts.pop(pts) - pts)

    for pts, payload in packets:
        waiting.append((pts, payload))
        heapq.heappush(unassigned, pts)
        if len(unassigned) > depth:
            assign_earliest()
            yield from ready()
    while unassigned:
        assign_earliest()
    if previous is not None:
        next_pts[previous] = previous + last_duration
    yield from ready()


_LEADING_GAP_LIMIT = Fraction(10)
"""Seconds before the first frame above which times are moved to start near 0. The stream of a
recorder may start at the time of day, and a video player would wait for hours."""

_MAX_LEAD = Fraction(1)
"""Maximum seconds by which decoding starts before the first frame; video players wait as long."""

_NOT_METADATA = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
"""Keys that describe the old container, not its contents."""

_MP4_METADATA = frozenset(
    ("title", "artist", "album", "comment", "copyright", "creation_time", "date", "description",
     "genre", "grouping", "lyrics", "show", "synopsis", "track")
)  # fmt: skip
"""Keys with a box in MP4; others need QuickTime's free-form keys, which then hold all keys."""

_VIDEO_METADATA = ("language", "title", "creation_time", "handler_name")
"""Keys of the source's video stream that are kept for the new video stream."""

_APPLE_TAGS = {"hevc": "hvc1"}
"""Codec to the tag that QuickTime requires; it refuses the usual one."""


class Assembly:
    """Combine segments, sound and subtitles in one file, without encoding anything.

    Args:
        path: The final name, for messages.
        container: FFmpeg's name of the container.
        survey: Summary of the segments.
        source: Header of the input.
        tracks: Sound and subtitles of the input, None if it has none.
        trimmed: Whether the segments contain only a part of the source.

    Attributes:
        times: Times of the frames that were written, in seconds.
        notes: One sentence for each difference from the source.

    """

    def __init__(
        self,
        path: Path,
        container: str,
        survey: Survey,
        source: MediaInfo,
        tracks: TrackCopier | None,
        trimmed: bool,
    ) -> None:
        self._path = path
        self._container = container
        self._survey = survey
        self._source = source
        self._tracks = tracks
        self._trimmed = trimmed
        self._last_duration = self._find_last_duration()
        self._shift = self._find_shift()
        self._tick_divisor, self._lead = self._find_lead()
        self.times = TimeTally()
        self.notes: list[str] = []
        if self._shift and not trimmed:
            self.notes.append(f"times were moved by {float(self.time_offset):.3f} s")

    @property
    def time_offset(self) -> Fraction:
        """Seconds added to every time."""
        return self._shift * self._source.time_base

    @property
    def stated_duration(self) -> Fraction | None:
        """Seconds that the container states for the video, None if it states none."""
        if self._container == "matroska":
            return None
        shortfall = self._survey.lead(self._last_duration) * self._tick_divisor - self._lead
        return self._duration * self._source.time_base - shortfall * self._tick

    @property
    def _duration(self) -> int:
        """Ticks of the source from the first frame to the end of the last frame."""
        return self._survey.last - self._survey.first + self._last_duration

    @property
    def _tick(self) -> Fraction:
        return self._source.time_base / self._tick_divisor

    def write(self, partial: Path, segments: Sequence[Path], metadata: Mapping[str, str]) -> None:
        """Write the file.

        Raises:
            OutputError: The file cannot be written.

        """
        try:
            output = self._open(partial, metadata)
            try:
                with open_segment(segments[0]) as first:
                    stream = self._add_stream(output, first)
                if self._tracks is not None:
                    self._tracks.attach(output)
                self._align_tracks()
                self._copy(output, stream, segments)
            except BaseException:
                with suppress(av.FFmpegError, OSError, ValueError):
                    output.close()
                raise
            output.close()
        except OutputError:
            raise
        except (av.FFmpegError, OSError) as exc:
            raise output_error(exc, self._path) from exc

    def _find_last_duration(self) -> int:
        """Return the duration of the last frame in ticks."""
        source, survey = self._source, self._survey
        nominal = survey.step or max(1, round(1 / (nominal_rate(source) * source.time_base)))
        if source.duration is None or survey.frames != source.frames_promised:
            return nominal
        end = survey.first + round(source.duration / source.time_base)
        return end - survey.last if end > survey.last else nominal

    def _find_shift(self) -> int:
        """Return the ticks that are added to every time."""
        first, time_base = self._survey.first, self._source.time_base
        if self._trimmed or first < 0:
            return -first
        if first * time_base <= _LEADING_GAP_LIMIT:
            return 0
        start = self._tracks.start if self._tracks else first * time_base
        return -min(first, round(start / time_base))

    def _find_lead(self) -> tuple[int, int]:
        """Return the divisor of the source's ticks, and the lead of decoding in divided ticks.

        MP4 may contain decoding times before 0 only if the first frame is at 0: otherwise FFmpeg
        moves the whole track when it reads the file. A first frame less than `depth` ticks after 0
        needs finer ticks.
        """
        survey = self._survey
        first = survey.first + self._shift
        lead = min(survey.lead(self._last_duration), round(_MAX_LEAD / self._source.time_base))
        if 0 < first < survey.depth:
            return survey.depth, first * survey.depth
        return 1, max(min(lead, first) if first else lead, survey.depth)

    def _align_tracks(self) -> None:
        if self._tracks is None:
            return
        self._tracks.shift_by(self.time_offset)
        if self._trimmed:
            start = self._survey.first * self._source.time_base
            end = start + self._duration * self._source.time_base
            self._tracks.keep_only(TimeSpan(start, end))

    def _open(self, partial: Path, metadata: Mapping[str, str]) -> OutputContainer:
        texts = {**(self._tracks.metadata if self._tracks else {}), **metadata}
        texts = {key: text for key, text in texts.items() if key not in _NOT_METADATA}
        options = {}
        if self._container != "matroska":
            rates = [kind.sample_rate for kind in self._tracks.kinds] if self._tracks else []
            options["movie_timescale"] = str(movie_timescale(self._source.time_base, rates))
            if not _MP4_METADATA.issuperset(texts):
                options["movflags"] = "+use_metadata_tags"
        output = av.open(
            str(partial.absolute()), mode="w", format=self._container, container_options=options
        )
        output.metadata.update(texts)
        return output

    def _add_stream(self, output: OutputContainer, first: SegmentReader) -> VideoStream:
        codec = self._survey.header.codec
        stream = output.add_stream_from_template(first.stream, opaque=True)
        stream.time_base = self._tick
        context = stream.codec_context
        context.framerate = self._source.frame_rate or DEFAULT_FRAME_RATE
        if codec in _APPLE_TAGS and self._container != "matroska":
            context.codec_tag = _APPLE_TAGS[codec]
        tag_picture(context, codec, self._source)
        if self._tracks is not None:
            metadata = self._tracks.video_metadata
            stream.metadata.update(
                {key: metadata[key] for key in _VIDEO_METADATA if key in metadata}
            )
        return stream

    def _copy(self, output: OutputContainer, stream: VideoStream, segments: Sequence[Path]) -> None:
        divisor, tick = self._tick_divisor, self._tick
        packets = (
            ((pts + self._shift) * divisor, packet) for pts, packet in self._packets(segments)
        )
        for item in assign_decoding_times(
            packets, self._survey.depth, self._lead, self._last_duration * divisor
        ):
            packet = item.payload
            packet.pts, packet.dts, packet.duration = item.pts, item.dts, item.duration
            packet.time_base = tick
            packet.stream = stream
            self.times.add(item.pts * tick)
            output.mux_one(packet)
            if self._tracks is not None:
                self._tracks.copy_until(output, item.dts * tick)
        if self._tracks is not None:
            self._tracks.copy_until(output, None)

    def _packets(self, segments: Sequence[Path]) -> Iterator[tuple[int, Packet[VideoStream]]]:
        for path in segments:
            with open_segment(path) as segment:
                yield from segment.packets()
