"""Copy the sound and subtitles of an input to the output, packet by packet."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import Stream

from jdsr_cli.media.frames import MediaInfo
from jdsr_cli.media.writing.formats import TrackKind, can_store
from jdsr_cli.media.writing.sound import (
    PCM_CODEC,
    DecodedTrack,
    is_blank,
    is_cover,
    label_of,
    open_tracks,
)
from jdsr_cli.media.writing.verify import TrackTally

_COPIED = ("audio", "subtitle")
"""Types of the tracks that are copied."""

_SEEK_MARGIN = Fraction(30)
"""Seconds before a window from which its packets are looked for; a subtitle may be shown long."""

_READ_MARGIN = Fraction(10)
"""Seconds after a window up to which packets that belong inside it may still come."""

_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class TimeSpan:
    """A part of the source, in seconds of its own time: `start` belongs to it, `end` does not."""

    start: Fraction
    end: Fraction


class TrackCopier:
    """Copies the packets of all audio streams, and of the subtitles that fit, unchanged.

    Sound in a codec that the output cannot hold is decoded instead. Packets keep their
    timestamps, so a track that starts late stays late. They are muxed up to the time of the
    picture, so memory stays bounded.

    Args:
        source: The input; of one that was salvaged, the copy is read while there is one.

    Raises:
        MediaError: It can no longer be opened.

    """

    def __init__(self, source: MediaInfo) -> None:
        copy = source.salvaged_copy
        self._source = open_tracks(copy if copy and copy.is_file() else source.path)
        videos = [stream for stream in self._source.streams.video if not is_cover(stream)]
        self._picture = videos[source.stream - 1] if source.stream <= len(videos) else None
        self._targets: dict[int, Stream] = {}
        self._tallies: dict[int, TrackTally] = {}
        self._decoded: dict[int, DecodedTrack] = {}
        self._waiting: Packet[Stream] | None = None
        self._packets: Iterator[Packet[Stream]] = iter(())
        self._shift = Fraction(0)
        self._window: TimeSpan | None = None
        self._heard: dict[int, int] = {}
        self._refused: dict[str, int] = {}
        self._faults: list[str] = []

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the input as a whole."""
        return dict(self._source.metadata)

    @property
    def picture_metadata(self) -> dict[str, str]:
        """The metadata of the stream that the pictures come from."""
        return dict(self._picture.metadata) if self._picture else {}

    @property
    def start(self) -> Fraction:
        """Start of the earliest stream in seconds."""
        return Fraction(self._source.start_time or 0, _MICROSECONDS)

    @property
    def kinds(self) -> list[TrackKind]:
        """The sound and subtitle tracks whose codec is known."""
        return [
            TrackKind(
                stream.type,
                stream.codec_context.name,
                stream.time_base or Fraction(1, _MICROSECONDS),
                getattr(stream.codec_context, "sample_rate", 0),
            )
            for stream in self._source.streams
            if stream.type in _COPIED and stream.codec_context is not None and not is_blank(stream)
        ]

    @property
    def tallies(self) -> list[TrackTally]:
        """What was copied so far, for each track of the output."""
        return list(self._tallies.values())

    def attach(self, output: OutputContainer) -> None:
        """Add a stream to `output` for every track that it can hold, as it is or decoded."""
        for stream in self._source.streams:
            if self._picture is None or stream.index != self._picture.index:
                self._attach(stream, output)
        wanted = [self._source.streams[index] for index in self._targets]
        if wanted:
            self._packets = self._source.demux(wanted)

    def _attach(self, stream: Stream, output: OutputContainer) -> None:
        context = stream.codec_context
        label = label_of(stream)
        if stream.type not in _COPIED or context is None:
            what = "cover picture" if is_cover(stream) else f"{stream.type} track"
            self._faults.append(f"the {what} ({label}) could not be kept")
            return
        if is_blank(stream):
            self._faults.append(f"the sound ({label}) could not be kept: it says nothing of itself")
            return
        name = context.name
        target: Stream
        if can_store(output.format.name, name):
            target = output.add_stream_from_template(stream)
        elif isinstance(stream, AudioStream):
            decoded = DecodedTrack(stream, output)
            self._decoded[stream.index] = decoded
            target, name = decoded.target, PCM_CODEC
            self._faults.append(f"the sound ({label}) fits no MP4; stored as {PCM_CODEC}")
        else:
            self._faults.append(
                f"the subtitle track ({label}) could not be kept: {output.format.name} holds none"
            )
            return
        target.metadata.update(stream.metadata)
        target.disposition = stream.disposition
        self._targets[stream.index] = target
        self._tallies[stream.index] = TrackTally(stream.type, name)

    def shift_by(self, seconds: Fraction) -> None:
        """Move all packets by that much; to be set before the first is copied."""
        self._shift = seconds

    def keep_only(self, window: TimeSpan) -> None:
        """Copy only what lies in the window; to be set after `attach`, before the first copy.

        Sound is kept by the start of its packets. A subtitle that is on the screen when the
        window opens is kept from there on.
        """
        self._window = window
        if not self._targets or window.start <= _SEEK_MARGIN + self.start:
            return
        wanted = [self._source.streams[index] for index in self._targets]
        try:
            self._source.seek(int((window.start - _SEEK_MARGIN) * _MICROSECONDS), any_frame=True)
            self._packets = self._source.demux(wanted)
            self._waiting = self._next()
            moment = None if self._waiting is None else _moment(self._waiting)
            if moment is not None and moment <= window.start:
                return
        except av.FFmpegError:
            pass
        # Where the file cannot be searched it is read from the start.
        self._waiting = None
        self._source.seek(int(self.start * _MICROSECONDS), any_frame=True)
        self._packets = self._source.demux(wanted)

    def copy_until(self, output: OutputContainer, time: Fraction | None) -> None:
        """Mux all packets before `time` in seconds, or all that are left for None.

        Raises:
            av.FFmpegError: The output cannot be written.

        """
        while True:
            packet = self._waiting or self._next()
            self._waiting = None
            moment = None if packet is None else _moment(packet)
            past = (
                moment is not None
                and self._window is not None
                and moment > self._window.end + _READ_MARGIN
            )
            if packet is None or past:
                self._packets = iter(())
                for index, decoded in self._decoded.items():
                    self._tallies[index].bytes += decoded.mux(output, None, self._shift)
                self._decoded.clear()
                return
            if moment is None:
                continue
            if time is not None and moment + self._shift > time:
                self._waiting = packet
                return
            if self._window is None or _fit(packet, self._window):
                self._mux(output, packet)

    def _next(self) -> Packet[Stream] | None:
        try:
            packet = next(self._packets, None)
        except av.FFmpegError as exc:
            self._faults.append(f"the sound ends early: reading stopped ({exc.strerror})")
            self._packets = iter(())
            return None
        if packet is not None:
            self._lengthen(packet)
        return packet

    def _mux(self, output: OutputContainer, packet: Packet[Stream]) -> None:
        tally = self._tallies[packet.stream_index]
        if packet.stream_index in self._decoded:
            decoded = self._decoded[packet.stream_index]
            tally.bytes += decoded.mux(output, packet, self._shift)
            return
        ticks = round(self._shift / packet.time_base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        packet.stream = self._targets[packet.stream_index]
        size = packet.size
        try:
            output.mux_one(packet)
            tally.add(size)
        except av.FFmpegError as exc:
            if exc.errno != errno.EINVAL:
                raise
            kind = {"audio": "sound"}.get(tally.type, tally.type)
            self._refused[kind] = self._refused.get(kind, 0) + 1

    def _lengthen(self, packet: Packet[Stream]) -> None:
        """Give sound that does not say how long it lasts the length of the packet before.

        Matroska may leave it out, and a first or last packet of no length would not be heard.
        """
        if packet.stream.type != "audio" or packet.pts is None:
            return
        before = self._heard.get(packet.stream_index, packet.pts)
        self._heard[packet.stream_index] = packet.pts
        if not packet.duration:
            packet.duration = max(packet.pts - before, 0)

    def warnings(self) -> list[str]:
        """Return one sentence for each track or packet that could not be kept."""
        return [
            *self._faults,
            *(
                f"{count} {kind} packets with impossible times were left out"
                for kind, count in self._refused.items()
            ),
        ]

    def close(self) -> None:
        """Close the input."""
        self._packets = iter(())
        self._waiting = None
        self._source.close()


def _moment(packet: Packet[Stream]) -> Fraction | None:
    moment = packet.dts if packet.dts is not None else packet.pts
    return None if moment is None else moment * packet.time_base


def _fit(packet: Packet[Stream], window: TimeSpan) -> bool:
    """Whether a packet belongs into the window; a subtitle that began before is shortened."""
    ticks = packet.pts if packet.pts is not None else packet.dts
    assert ticks is not None
    start = ticks * packet.time_base
    if start >= window.end:
        return False
    if start >= window.start:
        return True
    end = (ticks + (packet.duration or 0)) * packet.time_base
    if packet.stream.type != "subtitle" or end <= window.start:
        return False
    opening = -(-window.start // packet.time_base)
    packet.duration = ticks + (packet.duration or 0) - opening
    packet.pts = packet.dts = opening
    return packet.duration > 0
