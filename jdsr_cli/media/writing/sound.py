"""Open the sound tracks of an input, and decode those that the output container cannot hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from jdsr_cli.media.containers import open_container
from jdsr_cli.media.slices import DataFile

PCM_CODEC = "pcm_s16le"
"""Uncompressed 16-bit samples: telephone and DVR codecs decode to them without further loss."""

_GAP = Fraction(1, 50)
"""Seconds between the end of a packet and the start of the next from which on there is a gap."""


class DecodedTrack:
    """Decode one sound track and store its samples as PCM at their times.

    Args:
        source: The track, whose codec is known.
        output: The container that the samples are written to, before its header is written.

    Attributes:
        target: The stream of `output` that receives the samples.
        undecoded: Number of packets so far that could not be decoded.

    """

    def __init__(self, source: AudioStream, output: OutputContainer) -> None:
        context = source.codec_context
        self._context = context
        self._rate = context.sample_rate
        self._resampler = AudioResampler(format="s16", layout=context.layout, rate=self._rate)
        self.target = cast(
            AudioStream, output.add_stream(PCM_CODEC, rate=self._rate, layout=context.layout)
        )
        self.target.time_base = Fraction(1, self._rate)
        self._next = 0
        self.undecoded = 0

    def mux(self, output: OutputContainer, packet: Packet[Stream] | None, shift: Fraction) -> int:
        """Decode a packet and mux its samples.

        Args:
            output: The container that the samples are written to.
            packet: The packet; None to flush the decoder.
            shift: Seconds added to every time.

        Returns:
            Number of bytes of the samples that were muxed.

        Raises:
            av.FFmpegError: The output cannot be written.

        """
        try:
            frames = self._context.decode(packet)
        except av.error.EOFError:
            frames = []
        except av.FFmpegError:
            self.undecoded += 1
            return 0
        stored = 0
        for decoded in frames:
            if decoded.pts is not None and decoded.time_base is not None:
                start = decoded.pts * decoded.time_base + shift
                shown = _without_start(decoded, round(-start * self._rate))
                if shown is None:
                    continue
                self._skip_gap(start)
            else:
                shown = decoded
            shown.pts = None
            try:
                frames_of_output = self._resampler.resample(shown)
            except ValueError:
                # The layout or the rate of the sound changed within the track.
                self.undecoded += 1
                continue
            for frame in frames_of_output:
                stored += self._store(output, frame)
        return stored

    def _skip_gap(self, time: Fraction) -> None:
        """Move the next sample to `time` if there is a gap before it."""
        start = round(time * self._rate)
        if start - self._next > _GAP * self._rate or (self._next == 0 and start > 0):
            self._next = start

    def _store(self, output: OutputContainer, frame: AudioFrame) -> int:
        frame.pts, frame.time_base = self._next, Fraction(1, self._rate)
        self._next += frame.samples
        stored = 0
        for packet in self.target.encode(frame):
            stored += packet.size
            output.mux_one(packet)
        return stored


def _without_start(frame: AudioFrame, samples: int) -> AudioFrame | None:
    """Return a frame without its first samples, which are before 0; None if nothing is left."""
    if samples <= 0:
        return frame
    if samples >= frame.samples:
        return None
    channels = 1 if frame.format.is_planar else len(frame.layout.channels)
    rest = AudioFrame.from_ndarray(
        cast(Any, np.ascontiguousarray(frame.to_ndarray()[:, samples * channels :])),
        format=frame.format.name,
        layout=frame.layout.name,
    )
    rest.sample_rate = frame.sample_rate
    return rest


def skipped_samples(packet: Packet[Any]) -> int:
    """Return how many samples players leave out from a packet of sound on."""
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")


def codec_delays(file: DataFile, tracks: Sequence[int]) -> dict[int, Fraction]:
    """Return the seconds that players leave out at the start of sound tracks of a file.

    Args:
        file: The input.
        tracks: Indices of its streams.

    Raises:
        MediaError: The file cannot be opened.

    """
    delays: dict[int, Fraction] = {}
    with open_container(file) as container, suppress(av.FFmpegError):
        sounds = [stream for stream in container.streams.audio if stream.index in tracks]
        rates = {stream.index: stream.codec_context.sample_rate for stream in sounds}
        for packet in container.demux(sounds) if sounds else ():
            rate = rates.get(packet.stream_index, 0)
            if rate and packet.size:
                delays.setdefault(packet.stream_index, Fraction(skipped_samples(packet), rate))
            if len(delays) == len(sounds):
                break
    return delays


_LONG_PROBE = {"probesize": str(500 * 2**20), "analyzeduration": str(600 * 1_000_000)}
"""Bytes and microseconds that are searched for the parameters of a late sound track."""


def open_tracks(file: DataFile) -> InputContainer:
    """Open a file, and probe more of it if the parameters of a sound track are unknown.

    Raises:
        MediaError: It cannot be opened.

    """
    container = open_container(file)
    if not any(has_unknown_format(stream) for stream in container.streams.audio):
        return container
    container.close()
    return open_container(file, options=_LONG_PROBE)


def has_unknown_format(stream: Stream) -> bool:
    """Whether a stream is a sound track whose sample rate is not known."""
    return isinstance(stream, AudioStream) and not (
        stream.codec_context and stream.codec_context.sample_rate
    )


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a cover picture, which is not a video."""
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def label_of(stream: Stream) -> str:
    """Return the name of a track for messages: its codec, or the file name of an attachment."""
    texts: Mapping[str, str] = stream.metadata
    if stream.type == "attachment":
        return texts.get("filename", "unnamed")
    context = stream.codec_context
    if context is not None:
        return context.codec.canonical_name
    return getattr(stream, "name", None) or "unknown codec"
