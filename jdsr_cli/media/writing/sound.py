"""Open the sound tracks of an input, and decode those that the output container cannot hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from jdsr_cli.media.containers import open_container
from jdsr_cli.media.slices import DataFile
from jdsr_cli.media.writing.packet_times import skipped_samples
from jdsr_cli.media.writing.silence import LEAST_PAUSE, FilledPauses

PCM_CODEC = "pcm_s16le"
"""Uncompressed 16-bit samples: telephone and DVR codecs decode to them without further loss."""


class DecodedTrack:
    """Decode one sound track, or several in turn, and store the samples as PCM at their times.

    Args:
        source: The track, whose codec is known.
        output: The container that the samples are written to, before its header is written.

    Attributes:
        target: The stream of `output` that receives the samples.
        undecoded: Number of packets so far that could not be decoded.
        filled: The pauses that were filled with silence so far.

    """

    def __init__(self, source: AudioStream, output: OutputContainer) -> None:
        context = source.codec_context
        self._rate, self._layout = context.sample_rate, context.layout
        self.follow(source)
        self.target = cast(
            AudioStream, output.add_stream(PCM_CODEC, rate=self._rate, layout=self._layout)
        )
        self.target.time_base = Fraction(1, self._rate)
        self._next = 0
        self.undecoded = 0
        self.filled = FilledPauses()

    def follow(self, source: AudioStream) -> None:
        """Decode another track from now on; its samples get the rate and layout of the first."""
        self._context = source.codec_context
        self._resampler = AudioResampler(format="s16", layout=self._layout, rate=self._rate)

    def mux(
        self,
        output: OutputContainer,
        packet: Packet[Stream] | None,
        shift: Fraction,
        end: Fraction | None = None,
        start: Fraction = Fraction(0),
    ) -> int:
        """Decode a packet and mux its samples.

        Args:
            output: The container that the samples are written to.
            packet: The packet; None to flush the decoder.
            shift: Seconds added to every time.
            end: Seconds, so shifted, from which on samples are left out; None to keep all.
            start: Seconds, so shifted, before which samples are left out; at least 0.

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
                time, rate = decoded.pts * decoded.time_base + shift, decoded.sample_rate
                last = decoded.samples if end is None else round((end - time) * rate)
                shown = _between(decoded, round((start - time) * rate), last)
                if shown is None:
                    continue
                stored += self._move_to(output, max(time, start))
            else:
                shown = decoded
            shown.pts = None
            try:
                frames_of_output = self._resampler.resample(shown)
            except (ValueError, av.FFmpegError):
                # The layout or the rate of the sound changed within the track.
                self.undecoded += 1
                continue
            for frame in frames_of_output:
                stored += self._store(output, frame)
        return stored

    def _move_to(self, output: OutputContainer, time: Fraction) -> int:
        """Move the next sample to `time` if there is a pause before it, see `silence`."""
        start = round(time * self._rate)
        if self._next and start - self._next <= LEAST_PAUSE * self._rate:
            return 0
        stored = 0
        if self._next and output.format.name != "matroska":
            self.filled.add(Fraction(start - self._next, self._rate))
            while self._next < start:
                stored += self.store_silence(output, min(start - self._next, self._rate))
        self._next = start
        return stored

    def store_silence(self, output: OutputContainer, samples: int) -> int:
        """Mux some samples of silence; return the number of bytes.

        Raises:
            av.FFmpegError: The output cannot be written.

        """
        values = np.zeros((1, samples * self._layout.nb_channels), np.int16)
        frame = AudioFrame.from_ndarray(values, format="s16", layout=self._layout)
        frame.sample_rate = self._rate
        return self._store(output, frame)

    def _store(self, output: OutputContainer, frame: AudioFrame) -> int:
        frame.pts, frame.time_base = self._next, Fraction(1, self._rate)
        self._next += frame.samples
        stored = 0
        for packet in self.target.encode(frame):
            stored += packet.size
            output.mux_one(packet)
        return stored


def _between(frame: AudioFrame, first: int, last: int) -> AudioFrame | None:
    """Return the samples of a frame from `first` to before `last`, None if there are none."""
    first, last = max(first, 0), min(last, frame.samples)
    if first >= last:
        return None
    if last - first == frame.samples:
        return frame
    channels = 1 if frame.format.is_planar else len(frame.layout.channels)
    rest = AudioFrame.from_ndarray(
        cast(Any, np.ascontiguousarray(frame.to_ndarray()[:, first * channels : last * channels])),
        format=frame.format.name,
        layout=frame.layout.name,
    )
    rest.sample_rate = frame.sample_rate
    return rest


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


_CUSTOMARY_LAYOUTS = {"1 channels": "mono", "2 channels": "stereo"}
"""Layout that players assume by FFmpeg's name of one that the file does not state. For more
channels there are several."""


def open_tracks(file: DataFile) -> InputContainer:
    """Open a file, and probe more of it if the parameters of a sound track are unknown.

    Sound of one or two channels whose layout is not stated is mono or stereo.

    Raises:
        MediaError: It cannot be opened.

    """
    container = open_container(file)
    if any(has_unknown_format(stream) for stream in container.streams.audio):
        container.close()
        container = open_container(file, options=_LONG_PROBE)
    for stream in container.streams.audio:
        context = stream.codec_context
        if context is not None and context.layout.name in _CUSTOMARY_LAYOUTS:
            context.layout = AudioLayout(_CUSTOMARY_LAYOUTS[context.layout.name])
    return container


def copy_stream(stream: Stream, output: OutputContainer) -> Stream:
    """Add a stream for the packets of a track of `open_tracks` to an output; return it."""
    target = output.add_stream_from_template(stream)
    if isinstance(stream, AudioStream) and isinstance(target, AudioStream):
        target.codec_context.layout = stream.codec_context.layout
    return target


def has_unknown_format(stream: Stream) -> bool:
    """Whether a stream is a sound track whose sample rate or channels are not known."""
    if not isinstance(stream, AudioStream):
        return False
    context = stream.codec_context
    return context is None or not context.sample_rate or not context.channels


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
