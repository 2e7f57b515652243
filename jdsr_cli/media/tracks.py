"""Copying the sound and subtitles of an input beside the new picture, packet by packet."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import Stream

from jdsr_cli.media.encoding import can_store
from jdsr_cli.media.opening import open_container
from jdsr_cli.media.sound import PCM_CODEC, DecodedTrack


class TrackCopier:
    """Copies the packets of all audio streams, and of the subtitles that fit, unchanged.

    Sound in a codec that the output cannot hold is decoded instead. Packets keep their
    timestamps, so a track that starts late stays late. They are muxed up to the time of the
    picture, so memory stays bounded.

    Args:
        file: The input.

    Raises:
        MediaError: It can no longer be opened.

    """

    def __init__(self, file: Path) -> None:
        self._source = open_container(file)
        self._targets: dict[int, Stream] = {}
        self._decoded: dict[int, DecodedTrack] = {}
        self._waiting: Packet[Stream] | None = None
        self._packets: Iterator[Packet[Stream]] = iter(())
        self._shift = Fraction(0)
        self._refused = 0
        self._faults: list[str] = []
        self.copied = 0

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the input as a whole."""
        return dict(self._source.metadata)

    @property
    def start(self) -> Fraction:
        """Start of the earliest stream in seconds."""
        return Fraction(self._source.start_time or 0, 1_000_000)

    @property
    def audio_streams(self) -> list[AudioStream]:
        """The audio streams whose codec is known."""
        return [stream for stream in self._source.streams.audio if stream.codec_context]

    def attach(self, output: OutputContainer) -> None:
        """Add a stream to `output` for every track that it can hold, as it is or decoded."""
        for stream in self._source.streams:
            if stream.type not in ("audio", "subtitle"):
                continue
            context = stream.codec_context
            name = "unknown codec" if context is None else context.name
            target: Stream
            if context is not None and can_store(output.format.name, name):
                target = output.add_stream_from_template(stream)
            elif context is not None and isinstance(stream, AudioStream):
                decoded = DecodedTrack(stream, output)
                self._decoded[stream.index] = decoded
                target = decoded.target
                self._faults.append(f"the sound ({name}) fits no MP4; stored as {PCM_CODEC}")
            else:
                self._faults.append(f"the {stream.type} track ({name}) could not be kept")
                continue
            target.metadata.update(stream.metadata)
            target.disposition = stream.disposition
            self._targets[stream.index] = target
        wanted = [self._source.streams[index] for index in self._targets]
        if wanted:
            self._packets = self._source.demux(wanted)

    def shift_by(self, seconds: Fraction) -> None:
        """Move all packets by that much; to be set before the first is copied."""
        self._shift = seconds

    def copy_until(self, output: OutputContainer, time: Fraction | None) -> None:
        """Mux all packets before `time` in seconds, or all that are left for None.

        Raises:
            av.FFmpegError: The output cannot be written.

        """
        while True:
            packet = self._waiting or self._next()
            self._waiting = None
            if packet is None:
                for decoded in self._decoded.values():
                    decoded.mux(output, None, self._shift)
                self._decoded.clear()
                return
            moment = packet.dts if packet.dts is not None else packet.pts
            if moment is None:
                continue
            if time is not None and moment * packet.time_base + self._shift > time:
                self._waiting = packet
                return
            self._mux(output, packet)

    def _next(self) -> Packet[Stream] | None:
        try:
            return next(self._packets, None)
        except av.FFmpegError as exc:
            self._faults.append(f"the sound ends early: reading stopped ({exc.strerror})")
            self._packets = iter(())
            return None

    def _mux(self, output: OutputContainer, packet: Packet[Stream]) -> None:
        if packet.stream_index in self._decoded:
            self._decoded[packet.stream_index].mux(output, packet, self._shift)
            self.copied += 1
            return
        ticks = round(self._shift / packet.time_base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        packet.stream = self._targets[packet.stream_index]
        try:
            output.mux_one(packet)
            self.copied += 1
        except av.FFmpegError as exc:
            if exc.errno != errno.EINVAL:
                raise
            self._refused += 1

    def warnings(self) -> list[str]:
        """Return one sentence for each track or packet that could not be kept."""
        found = list(self._faults)
        if self._refused:
            found.append(f"{self._refused} sound packets with impossible times were left out")
        return found

    def close(self) -> None:
        """Close the input."""
        self._packets = iter(())
        self._source.close()
