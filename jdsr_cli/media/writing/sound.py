"""Decoding of sound that the output container cannot hold, and opening of sound tracks."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from jdsr_cli.media.inputs import open_container

PCM_CODEC = "pcm_s16le"
"""Sixteen bits, uncompressed: what telephone and DVR codecs decode to, without further loss."""


_GAP = Fraction(1, 50)
"""Seconds between the end of a packet and the start of the next that are a real gap."""


class DecodedTrack:
    """Decodes one sound track and stores its samples, each run of them at its own time.

    Args:
        source: The track, whose codec is known.
        output: Where it goes; not yet begun.

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
        """Decode a packet (None: what the decoder still holds) and mux its samples.

        Returns:
            Bytes of samples that were muxed.

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
            start = decoded.pts
            if start is not None and decoded.time_base is not None:
                self._seek(start * decoded.time_base + shift)
            decoded.pts = None
            for frame in self._resampler.resample(decoded):
                stored += self._store(output, frame)
        return stored

    def _seek(self, time: Fraction) -> None:
        """Go on at `time` where that is a gap ahead, else without a break."""
        wanted = round(time * self._rate)
        if wanted - self._next > _GAP * self._rate or (self._next == 0 and wanted > 0):
            self._next = wanted

    def _store(self, output: OutputContainer, frame: AudioFrame) -> int:
        frame.pts, frame.time_base = self._next, Fraction(1, self._rate)
        self._next += frame.samples
        stored = 0
        for packet in self.target.encode(frame):
            stored += packet.size
            output.mux_one(packet)
        return stored


_SAFE = {"protocol_whitelist": "file", "pattern_type": "none"}
"""Options that keep FFmpeg from opening other files than the one that is named."""


_FAR = {"probesize": str(500 * 2**20), "analyzeduration": str(600 * 1_000_000)}
"""Bytes and microseconds in which a late sound track is looked for."""


def open_tracks(file: Path) -> InputContainer:
    """Open a file, searching it further where a sound track begins too late to be known.

    Raises:
        MediaError: It cannot be opened.

    """
    container = open_container(file)
    if not any(is_blank(stream) for stream in container.streams.audio):
        return container
    container.close()
    try:
        return av.open(
            str(file.absolute()),
            mode="r",
            container_options={**_SAFE, **_FAR},
            metadata_errors="replace",
        )
    except (av.FFmpegError, ValueError, OSError):
        return open_container(file)


def is_blank(stream: Stream) -> bool:
    """Whether a sound track is announced whose format is not known."""
    return isinstance(stream, AudioStream) and not (
        stream.codec_context and stream.codec_context.sample_rate
    )


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a cover picture, which is no video."""
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def label_of(stream: Stream) -> str:
    """Return the name of a track that is left out."""
    texts: Mapping[str, str] = stream.metadata
    if stream.type == "attachment":
        return texts.get("filename", "unnamed")
    context = stream.codec_context
    if context is not None:
        return context.codec.canonical_name
    return getattr(stream, "name", None) or "unknown codec"
