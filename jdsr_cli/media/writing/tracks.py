"""Copy the sound and subtitles of an input to the output, packet by packet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import chain

import av
from av.audio.stream import AudioStream
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import Stream

from jdsr_cli.media.frames import MediaInfo
from jdsr_cli.media.later_recordings import LaterRecording
from jdsr_cli.media.slices import DataFile
from jdsr_cli.media.writing.clipping import TimeSpan, clip, run_in, starts_between_packets
from jdsr_cli.media.writing.containers import (
    CONTAINER_NAMES,
    KEPT_TYPES,
    TrackKind,
    is_refusal,
)
from jdsr_cli.media.writing.joined_sound import JoinedSound
from jdsr_cli.media.writing.packet_times import READ_MARGIN, move, packet_time
from jdsr_cli.media.writing.refusals import in_brackets
from jdsr_cli.media.writing.silence import (
    FilledPauses,
    SilenceFiller,
    bytes_per_sample,
    describe_filled,
)
from jdsr_cli.media.writing.sound import (
    PCM_CODEC,
    DecodedTrack,
    codec_delays,
    copy_stream,
    is_cover,
    label_of,
    open_tracks,
)
from jdsr_cli.media.writing.trials import probe_tracks
from jdsr_cli.media.writing.verify import TrackTally

_SEEK_MARGIN = Fraction(30)
"""Seconds before a time span from which on packets are read: subtitles may be shown for long."""

_MICROSECONDS = 1_000_000


class TrackCopier:
    """Copy the packets of all audio streams, and of the subtitles that the output can hold.

    Sound in a codec that the output cannot hold is decoded instead. Packets keep their timestamps,
    so a track that starts late stays late. They are muxed up to the time of the last video packet,
    so memory stays bounded.

    Args:
        source: The input, of which only `MediaInfo.recording` is read; the salvaged copy is read
            instead while it exists.
        later: Recordings that follow in the same file. If one of them has sound, all sound is
            decoded and joined.

    Raises:
        MediaError: The input can no longer be opened.

    """

    def __init__(self, source: MediaInfo, later: Sequence[LaterRecording] = ()) -> None:
        copy = source.salvaged_copy
        salvaged = copy if copy and copy.is_file() else None
        self._file = salvaged or source.recording or source.path
        self._source = open_tracks(self._file)
        self._later = later if any(one.audio_streams for one in later) else ()
        self._joined = JoinedSound(self._file, self._later) if self._later else None
        videos = [stream for stream in self._source.streams.video if not is_cover(stream)]
        self._video = videos[source.stream - 1] if source.stream <= len(videos) else None
        self._targets: dict[int, Stream] = {}
        self._tallies: dict[int, TrackTally] = {}
        self._decoded: dict[int, DecodedTrack] = {}
        self._fillers: dict[int, SilenceFiller] = {}
        self._filled: list[FilledPauses] = []
        self._waiting: Packet[Stream] | None = None
        self._packets: Iterator[Packet[Stream]] = iter(())
        self._shift = Fraction(0)
        self._window: TimeSpan | None = None
        self._delays: dict[int, Fraction] | None = None
        self._last_pts: dict[int, int] = {}
        self._refused: dict[str, int] = {}
        self._undecoded = 0
        self._untimed = 0
        self._faults: list[str] = []

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the input as a whole."""
        return dict(self._source.metadata)

    @property
    def video_metadata(self) -> dict[str, str]:
        """The metadata of the video stream that was read."""
        return dict(self._video.metadata) if self._video else {}

    @property
    def start(self) -> Fraction:
        """Start time of the earliest stream in seconds."""
        return Fraction(self._source.start_time or 0, _MICROSECONDS)

    @cached_property
    def kinds(self) -> list[TrackKind]:
        """The sound and subtitle tracks of known format, with the containers that take them."""
        kinds = probe_tracks(self._file)
        if self._joined is None:
            return kinds
        return [*(kind for kind in kinds if kind.type != "audio"), *self._joined.kinds()]

    @property
    def file(self) -> DataFile:
        """The file that is read, or the part of it."""
        return self._file

    @property
    def later(self) -> Sequence[LaterRecording]:
        """The recordings whose sound is joined to that of the first one."""
        return self._later

    @property
    def tallies(self) -> list[TrackTally]:
        """Amounts of data copied so far: one tally for each track of the output."""
        joined = self._joined.tallies if self._joined else ()
        return [*self._tallies.values(), *joined]

    def attach(self, output: OutputContainer, window: TimeSpan | None = None) -> None:
        """Add a stream to `output` for every track that can be copied or decoded.

        Args:
            output: The container that is written.
            window: Only packets of this time span are copied. Sound is kept from some packets
                before its start on, see `clipping`; a subtitle that is shown when the span starts
                is kept from there on.

        """
        self._window = window
        for stream in self._source.streams:
            is_video = self._video is not None and stream.index == self._video.index
            if not is_video and (self._joined is None or stream.type != "audio"):
                self._attach(stream, output)
        if self._joined is not None:
            self._joined.attach(output, window)
        copied = [self._source.streams[index] for index in self._targets]
        if copied:
            self._packets = self._source.demux(copied)
            if output.format.name == "matroska" and window is not None:
                self._delays = codec_delays(self._file, list(self._targets))
        if copied and window is not None and window.start > _SEEK_MARGIN + self.start:
            self._seek(copied, window)

    def _attach(self, stream: Stream, output: OutputContainer) -> None:
        context = stream.codec_context
        label = label_of(stream)
        if stream.type not in KEPT_TYPES or context is None:
            noun = "cover picture" if is_cover(stream) else f"{stream.type} track"
            self._faults.append(f"the {noun} ({label}) could not be kept")
            return
        kind = next((one for one in self.kinds if one.index == stream.index), None)
        if kind is None:
            self._faults.append(f"the sound ({label}) could not be kept: its format is unknown")
            return
        name = context.name
        container = output.format.name
        target: Stream
        if container in kind.copied and self._can_begin(stream):
            target = copy_stream(stream, output)
            timed = container == "matroska" or bytes_per_sample(name) is None
            if isinstance(stream, AudioStream) and not timed:
                self._fillers[stream.index] = SilenceFiller(stream)
                self._filled.append(self._fillers[stream.index].filled)
        elif isinstance(stream, AudioStream) and container in kind.decoded:
            decoded = DecodedTrack(stream, output)
            self._decoded[stream.index] = decoded
            self._filled.append(decoded.filled)
            target, name = decoded.target, PCM_CODEC
            where = "cut within its packets"
            if container not in kind.copied:
                where = f"stored in {CONTAINER_NAMES[container]}{in_brackets(kind, container)}"
            self._faults.append(
                f"the sound ({label}) cannot be {where}; it was stored as {PCM_CODEC}"
            )
        else:
            noun = "sound" if stream.type == "audio" else "subtitle track"
            self._faults.append(
                f"the {noun} ({label}) could not be kept: not supported by {container}"
                f"{in_brackets(kind, container)}"
            )
            return
        target.metadata.update(stream.metadata)
        target.disposition = stream.disposition
        self._targets[stream.index] = target
        self._tallies[stream.index] = TrackTally(stream.type, name)

    def shift_by(self, seconds: Fraction) -> None:
        """Set the seconds added to every time; call it before the first packet is copied."""
        self._shift = seconds
        if self._joined is not None:
            self._joined.shift_by(seconds)

    def _can_begin(self, stream: Stream) -> bool:
        """Whether a copy of a track can begin where the time span does."""
        if self._window is None or stream.codec_context is None or stream.time_base is None:
            return True
        first = (stream.start_time or 0) * stream.time_base
        return starts_between_packets(stream.codec_context.name, first, self._window.start)

    def _seek(self, copied: list[Stream], window: TimeSpan) -> None:
        """Go on reading some time before a time span."""
        try:
            self._source.seek(int((window.start - _SEEK_MARGIN) * _MICROSECONDS), any_frame=True)
            self._packets = self._source.demux(copied)
            self._waiting = self._next()
            time_of_packet = None if self._waiting is None else packet_time(self._waiting)
            if time_of_packet is not None and time_of_packet <= window.start:
                return
        except av.FFmpegError:
            pass
        # The file cannot be seeked; read it from the start.
        self._waiting = None
        self._source.seek(int(self.start * _MICROSECONDS), any_frame=True)
        self._packets = self._source.demux(copied)

    def copy_until(self, output: OutputContainer, time: Fraction | None) -> None:
        """Mux all packets before `time` in seconds, or all remaining packets if it is None.

        Raises:
            av.FFmpegError: The output cannot be written.

        """
        if self._joined is not None:
            self._joined.copy_until(output, time)
        while True:
            packet = self._waiting or self._next()
            self._waiting = None
            time_of_packet = None if packet is None else packet_time(packet)
            past = (
                time_of_packet is not None
                and self._window is not None
                and time_of_packet > self._window.end + READ_MARGIN
            )
            if packet is None or past:
                self._packets = iter(())
                for index, decoded in self._decoded.items():
                    self._tallies[index].bytes += decoded.mux(output, None, self._shift)
                    self._undecoded += decoded.undecoded
                self._decoded.clear()
                return
            if time_of_packet is None:
                self._untimed += int(packet.size > 0)
                continue
            if time is not None and time_of_packet + self._shift > time:
                self._waiting = packet
                return
            if self._window is None or self._is_inside(packet, self._window):
                self._mux(output, packet)

    def _next(self) -> Packet[Stream] | None:
        try:
            packet = next(self._packets, None)
        except av.FFmpegError as exc:
            self._faults.append(f"the sound ends early: reading stopped ({exc.strerror})")
            self._packets = iter(())
            return None
        if packet is not None:
            self._set_duration(packet)
        return packet

    def _is_inside(self, packet: Packet[Stream], window: TimeSpan) -> bool:
        """Whether a packet is kept; a subtitle may be shortened."""
        codec = self._tallies[packet.stream_index].codec
        delay = None
        if packet.stream_index in self._decoded:
            assert packet.stream.codec_context is not None
            codec = packet.stream.codec_context.name
        else:
            delay = self._delay(packet)
        return clip(packet, window, run_in(codec, packet, delay))

    def _delay(self, packet: Packet[Stream]) -> Fraction | None:
        """Return the most seconds before 0 that the track can hold, None if there is no limit."""
        return None if self._delays is None else self._delays.get(packet.stream_index, Fraction(0))

    def _mux(self, output: OutputContainer, packet: Packet[Stream]) -> None:
        tally = self._tallies[packet.stream_index]
        if packet.stream_index in self._decoded:
            decoded = self._decoded[packet.stream_index]
            tally.bytes += decoded.mux(output, packet, self._shift)
            return
        if self._shift or self._window is not None:
            move(packet, self._shift, self._delay(packet))
        filler = self._fillers.get(packet.stream_index)
        target = self._targets[packet.stream_index]
        try:
            for one in chain(filler.before(packet) if filler else (), (packet,)):
                one.stream, size = target, one.size
                output.mux_one(one)
                tally.add(size)
        except av.FFmpegError as exc:
            if not is_refusal(exc):
                raise
            kind = {"audio": "sound"}.get(tally.type, tally.type)
            self._refused[kind] = self._refused.get(kind, 0) + 1

    def _set_duration(self, packet: Packet[Stream]) -> None:
        """Set the duration of a sound packet without one to the distance from the previous packet.

        Matroska may omit durations, and a first or last packet without one would not be played.
        """
        if packet.stream.type != "audio" or packet.pts is None:
            return
        previous = self._last_pts.get(packet.stream_index, packet.pts)
        self._last_pts[packet.stream_index] = packet.pts
        if not packet.duration:
            packet.duration = max(packet.pts - previous, 0)

    def warnings(self) -> list[str]:
        """Return one sentence for each track or kind of packet that could not be kept."""
        messages = [
            *self._faults,
            *(self._joined.warnings() if self._joined else ()),
            *(
                f"{count} {kind} packets with impossible times were left out"
                for kind, count in self._refused.items()
            ),
        ]
        messages += describe_filled(self._filled)
        if self._untimed:
            messages.append(
                f"{self._untimed} sound or subtitle packets without a time were left out"
            )
        if self._undecoded:
            messages.append(f"{self._undecoded} packets of sound could not be decoded")
        return messages

    def close(self) -> None:
        """Close the input."""
        self._packets = iter(())
        self._waiting = None
        self._source.close()
        if self._joined is not None:
            self._joined.close()
