"""Try whether containers take the tracks of an input, before anything is computed.

A container that has a place for a codec may still refuse a track: MP4 takes no uncompressed sound
of which it is not known which speaker each channel belongs to, and no TrueHD. Some muxers say so
only when they write the index, after the last packet. The first packets of each track are
therefore written to memory, to the end.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import Stream

from jdsr_cli.media.slices import DataFile
from jdsr_cli.media.writing.containers import (
    CONTAINERS,
    KEPT_TYPES,
    TrackKind,
    can_store,
    is_refusal,
)
from jdsr_cli.media.writing.packet_times import packet_time
from jdsr_cli.media.writing.silence import bytes_per_sample
from jdsr_cli.media.writing.sound import (
    PCM_CODEC,
    DecodedTrack,
    copy_stream,
    has_unknown_format,
    open_tracks,
)

_PACKETS = 3
"""Packets of each track that are tried."""
_LARGEST_SEARCH = 32 << 20
"""Bytes at the start of the input that are searched for them: a track may begin late."""
_SAMPLES = 1024
"""Samples of silence that are tried."""
_MICROSECONDS = 1_000_000


def probe_tracks(file: DataFile) -> list[TrackKind]:
    """Return the sound and subtitle tracks whose format is known, with the containers for them.

    Args:
        file: The input.

    Raises:
        MediaError: It cannot be opened.

    """
    with open_tracks(file) as source:
        streams = [stream for stream in source.streams if _is_kept(stream)]
        packets = _first_packets(source, streams)
        return [_kind_of(file, stream, packets[stream.index]) for stream in streams]


def joined_kind(file: DataFile, stream: AudioStream) -> TrackKind:
    """Return a track of sound that is stored as PCM in any case."""
    taken = _takers_of_samples(stream)
    kind = _kind_of(file, stream, [])
    return replace(kind, codec=PCM_CODEC, copied=taken, refused=frozenset(), decoded=taken)


def _is_kept(stream: Stream) -> bool:
    known = stream.codec_context is not None and not has_unknown_format(stream)
    return stream.type in KEPT_TYPES and known


def _kind_of(file: DataFile, stream: Stream, packets: Sequence[Packet[Stream]]) -> TrackKind:
    assert stream.codec_context is not None
    codec = stream.codec_context.name
    fitting = frozenset(name for name in CONTAINERS if can_store(name, codec))
    copied = frozenset(name for name in fitting if _takes_packets(name, stream, packets))
    return TrackKind(
        file,
        stream.index,
        stream.type,
        codec,
        stream.time_base or Fraction(1, _MICROSECONDS),
        getattr(stream.codec_context, "sample_rate", 0),
        copied,
        fitting - copied,
        _takers_of_samples(stream) if isinstance(stream, AudioStream) else frozenset(),
    )


def _takes_packets(container: str, stream: Stream, packets: Sequence[Packet[Stream]]) -> bool:
    try:
        _write_packets(container, stream, packets)
    except (av.FFmpegError, ValueError):
        return False
    return True


def _takers_of_samples(stream: AudioStream) -> frozenset[str]:
    """Return the containers that take the samples of a track as PCM."""
    taken = []
    for container in CONTAINERS:
        with suppress(av.FFmpegError, ValueError):
            _write_samples(container, stream)
            taken.append(container)
    return frozenset(taken)


def try_again(file: DataFile, container: str, index: int, *, decoded: bool) -> None:
    """Write the first packets of a track to memory, or silence of its format.

    Args:
        file: The input.
        container: FFmpeg's name of the container.
        index: Index of the stream of the track.
        decoded: Whether its samples are stored as PCM.

    Raises:
        av.FFmpegError, ValueError: It is refused.
        MediaError: The input cannot be opened.

    """
    with open_tracks(file) as source:
        stream = source.streams[index]
        if decoded:
            assert isinstance(stream, AudioStream)
            _write_samples(container, stream)
        else:
            _write_packets(container, stream, _first_packets(source, [stream])[index])


def _first_packets(
    source: InputContainer, streams: Sequence[Stream]
) -> dict[int, list[Packet[Stream]]]:
    """Return the first packets of each stream, as far as they are near the start."""
    found: dict[int, list[Packet[Stream]]] = {stream.index: [] for stream in streams}
    size = 0
    with suppress(av.FFmpegError):
        for packet in source.demux() if streams else ():
            size += packet.size
            packets = found.get(packet.stream_index)
            if packets is not None and packet.size and packet_time(packet) is not None:
                packets.append(packet)
                del packets[_PACKETS:]
            if size > _LARGEST_SEARCH or all(len(one) == _PACKETS for one in found.values()):
                break
    return found


@contextmanager
def _output_in_memory(container: str) -> Iterator[OutputContainer]:
    """Yield an output that is written to its end."""
    output = av.open(io.BytesIO(), mode="w", format=container)
    try:
        yield output
    except BaseException:
        with suppress(av.FFmpegError, ValueError):
            output.close()
        raise
    output.close()


def _write_packets(container: str, stream: Stream, packets: Sequence[Packet[Stream]]) -> None:
    with _output_in_memory(container) as output:
        target = copy_stream(stream, output)
        output.start_encoding()
        refusals: list[av.FFmpegError] = []
        tried = packets or _silence(stream)
        for packet in tried:
            times = packet.pts, packet.dts, packet.duration, packet.time_base
            packet.stream = target
            try:
                output.mux_one(packet)
            except av.FFmpegError as fault:
                if not is_refusal(fault):
                    raise
                refusals.append(fault)
            # Muxing has set them to units of the output.
            packet.pts, packet.dts, packet.duration, packet.time_base = times
        # Single packets may be refused, for their times.
        if tried and len(refusals) == len(tried):
            raise refusals[0]


def _silence(stream: Stream) -> list[Packet[Stream]]:
    """Return a packet of PCM for a track whose own packets are far; none for other codecs."""
    context = stream.codec_context
    size = None if context is None else bytes_per_sample(context.name)
    if size is None:
        return []
    assert isinstance(stream, AudioStream)
    packet: Packet[Stream] = Packet(bytes(size * stream.codec_context.channels * _SAMPLES))
    packet.pts = packet.dts = 0
    packet.duration, packet.time_base = _SAMPLES, Fraction(1, stream.codec_context.sample_rate)
    return [packet]


def _write_samples(container: str, stream: AudioStream) -> None:
    with _output_in_memory(container) as output:
        DecodedTrack(stream, output).store_silence(output, _SAMPLES)
