"""Fill the pauses of uncompressed sound in MP4 and QuickTime.

Samples of PCM have no times there, but for the first: FFmpeg writes them one after another, and
what follows a pause would be heard too early.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction

from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

LEAST_PAUSE = Fraction(1, 25)
"""Seconds between the end of a packet and the start of the next above which there is a pause. Less
is a rounding of times, or adds up until it is more: sound that is early by 0.045 s is noticed
(ITU-R BT.1359-1)."""

LONGEST_FILLED = Fraction(600)
"""Seconds up to which pauses are filled, to limit the file; Matroska stores longer ones."""

_BLOCK = Fraction(1)
"""Most seconds of a packet of silence."""

_LINEAR = re.compile(r"pcm_[sf](8|16|24|32|64)(?:le|be)?")
_ZERO_LEVELS = {"pcm_u8": 0x80, "pcm_mulaw": 0xFF, "pcm_alaw": 0xD5}
"""The byte of silence in codecs of one byte a sample in which it is not 0."""


def bytes_per_sample(codec: str) -> int | None:
    """Return the size of the samples of PCM, None for other codecs."""
    if codec in _ZERO_LEVELS:
        return 1
    linear = _LINEAR.fullmatch(codec)
    return None if linear is None else int(linear[1]) // 8


class FilledPauses:
    """The number of pauses that were filled with silence, and their length.

    Attributes:
        count: Number of pauses.
        seconds: Their length in all.

    """

    def __init__(self) -> None:
        self.count = 0
        self.seconds = Fraction(0)

    def add(self, seconds: Fraction) -> None:
        """Count a pause."""
        self.count += 1
        self.seconds += seconds


def describe_filled(tracks: Iterable[FilledPauses]) -> list[str]:
    """Return one sentence on the pauses of all tracks, none if there were none."""
    pauses = list(tracks)
    count = sum(one.count for one in pauses)
    seconds = float(sum(one.seconds for one in pauses))
    if not count:
        return []
    return [f"pauses of the sound were filled with silence ({count}, {seconds:.2f} s in all)"]


class SilenceFiller:
    """Makes the packets of silence that belong into the pauses of a track of PCM.

    Args:
        track: The track that is copied, whose codec has `bytes_per_sample`.

    Attributes:
        filled: The pauses so far.

    """

    def __init__(self, track: AudioStream) -> None:
        codec, context = track.codec_context.name, track.codec_context
        size = bytes_per_sample(codec)
        assert size is not None
        self._sample = bytes([_ZERO_LEVELS.get(codec, 0)]) * size * context.channels
        self._rate = context.sample_rate
        self._position: int | None = None
        """Sample at which the next packet should start."""
        self.filled = FilledPauses()

    def before(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """Yield the silence that precedes the next packet, which must have a time."""
        ticks = packet.pts if packet.pts is not None else packet.dts
        assert ticks is not None
        start = round(ticks * packet.time_base * self._rate)
        position = start if self._position is None else self._position
        if start - position > LEAST_PAUSE * self._rate:
            self.filled.add(Fraction(start - position, self._rate))
            while position < start:
                samples = min(start - position, int(_BLOCK * self._rate))
                yield self._silence(position, samples)
                position += samples
        self._position = position + packet.size // len(self._sample)

    def _silence(self, position: int, samples: int) -> Packet[Stream]:
        # Times of the source may be too coarse to tell the last packet from the one that follows.
        packet: Packet[Stream] = Packet(self._sample * samples)
        packet.pts = packet.dts = position
        packet.duration, packet.time_base = samples, Fraction(1, self._rate)
        return packet
