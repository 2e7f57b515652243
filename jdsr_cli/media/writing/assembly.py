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
from jdsr_cli.media.writing.clipping import TimeSpan
from jdsr_cli.media.writing.containers import TracksRefusedError, is_refusal
from jdsr_cli.media.writing.formats import nominal_rate, tag_picture
from jdsr_cli.media.writing.segment_files import SegmentReader, Survey, open_segment
from jdsr_cli.media.writing.time_bases import TimeUnits, choose_units, movie_timescale
from jdsr_cli.media.writing.tracks import TrackCopier
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
        self._units = self._find_units()
        self._factor = source.time_base / self._units.tick
        self._scaled = survey.rescaled(self._shift, self._factor)
        self._scaled_duration = max(1, round(self._last_duration * self._factor))
        self._lead = self._find_lead()
        self.times = TimeTally()
        self.notes: list[str] = []
        if self._shift and not trimmed:
            self.notes.append(f"times were moved by {float(self.time_offset):.3f} s")
        if not self._units.exact and container == "matroska":
            self.notes.append("times were rounded to 1 ms, the unit of Matroska")
        elif not self._units.exact:
            self.notes.append(
                f"times were rounded to {float(1000 * self._units.tick):.3g} ms: the container "
                f"cannot store the longest pause in units of {source.time_base} s"
            )
        elif self._units.tick > source.time_base:
            self.notes.append(
                f"times are stored in units of {self._units.tick} s instead of "
                f"{source.time_base} s, in which the container cannot store the longest pause; all "
                "are kept exactly"
            )

    @property
    def time_offset(self) -> Fraction:
        """Seconds added to every time."""
        return self._shift * self._source.time_base

    @property
    def stated_duration(self) -> Fraction | None:
        """Seconds that the container states for the video, None if it states none."""
        if self._container == "matroska":
            return None
        survey, last = self._scaled, self._scaled_duration
        shortfall = survey.lead(last) - self._lead
        return (survey.last - survey.first + last - shortfall) * self._units.tick

    @property
    def _duration(self) -> int:
        """Ticks of the source from the first frame to the end of the last frame."""
        return self._survey.last - self._survey.first + self._last_duration

    def write(self, partial: Path, segments: Sequence[Path], metadata: Mapping[str, str]) -> None:
        """Write the file.

        Raises:
            TracksRefusedError: FFmpeg does not store the sound or subtitles in this container.
            OutputError: The file cannot be written.

        """
        try:
            output = self._open(partial, metadata)
            try:
                with open_segment(segments[0]) as first:
                    stream = self._add_stream(output, first)
                if self._tracks is not None:
                    self._tracks.shift_by(self.time_offset)
                    self._tracks.attach(output, self._find_window())
                self._copy(output, stream, segments)
            except BaseException:
                with suppress(av.FFmpegError, OSError, ValueError):
                    output.close()
                raise
            output.close()
        except OutputError:
            raise
        except (av.FFmpegError, OSError) as exc:
            refused = isinstance(exc, av.FFmpegError) and is_refusal(exc)
            if refused and self._tracks is not None and self._tracks.tallies:
                raise TracksRefusedError(exc.strerror or str(exc)) from exc
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

    def _find_units(self) -> TimeUnits:
        """Return the units of the times.

        Matroska has its own. MP4 may contain decoding times before 0 only if the first frame is at
        0: otherwise FFmpeg moves the whole track when it reads the file. A first frame less than
        `depth` ticks after 0 needs finer units.
        """
        survey, time_base = self._survey, self._source.time_base
        first, matroska = survey.first + self._shift, self._container == "matroska"
        if not matroska and 0 < first < survey.depth:
            time_base /= survey.depth
        factor = round(self._source.time_base / time_base)
        return choose_units(
            time_base,
            first * factor,
            survey.divisor * factor,
            (survey.widest + self._last_duration) * factor + round(_MAX_LEAD / time_base),
            matroska=matroska,
        )

    def _find_lead(self) -> int:
        """Return the lead of decoding in the units of the output."""
        survey = self._scaled
        lead = min(survey.lead(self._scaled_duration), round(_MAX_LEAD / self._units.tick))
        return max(min(lead, survey.first) if survey.first else lead, survey.depth)

    def _find_window(self) -> TimeSpan | None:
        """Return the part of the source whose sound is kept, None for all of it."""
        if not self._trimmed:
            return None
        start = self._survey.first * self._source.time_base
        return TimeSpan(start, start + self._duration * self._source.time_base)

    def _open(self, partial: Path, metadata: Mapping[str, str]) -> OutputContainer:
        texts = {**(self._tracks.metadata if self._tracks else {}), **metadata}
        texts = {key: text for key, text in texts.items() if key not in _NOT_METADATA}
        options = {}
        if self._container != "matroska":
            rates = [kind.sample_rate for kind in self._tracks.kinds] if self._tracks else []
            options["movie_timescale"] = str(movie_timescale(self._units.tick, rates))
            if self._units.timescale is not None:
                options["video_track_timescale"] = str(self._units.timescale)
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
        stream.time_base = self._units.tick
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
        factor, tick = self._factor, self._units.tick
        packets = (
            (round((pts + self._shift) * factor), packet) for pts, packet in self._packets(segments)
        )
        for item in assign_decoding_times(
            packets, self._survey.depth, self._lead, self._scaled_duration
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
