"""Choose the packets of sound and subtitles that belong to a part of an input.

Decoders of sound need some packets before the first one whose samples are played. They are kept,
with times before 0: MP4 and QuickTime then have an edit list that starts inside the track, and
players decode, but do not play, what lies before it (ISO/IEC 14496-12, section 8.6.6; RFC 7845 and
the AAC priming of ISO/IEC 14496-24). Matroska states how many samples of a track are not played
(`CodecDelay`), and that number is the one of its codec: no more can be kept there.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from av.packet import Packet
from av.stream import Stream

_RUN_IN = Fraction(1, 10)
"""Seconds of sound that are kept before a part, and two packets at least: Opus converges in 0.08 s
(RFC 7845, section 4.6), and packets of AAC overlap."""

_LONG_RUN_IN = Fraction(1, 4)
"""The same for MP3, whose packets refer to the bytes of up to nine earlier ones."""

_INDEPENDENT = ("pcm_", "flac", "alac", "wavpack", "tta", "adpcm_")
"""Codecs, or starts of their names, without anything in common between packets."""

ROUNDING = Fraction(1, 1000)
"""Seconds by which the times of some containers are rounded."""


@dataclass(frozen=True)
class TimeSpan:
    """A half-open part of the source, [start, end), in seconds of its own time."""

    start: Fraction
    end: Fraction


def starts_between_packets(codec: str, first: Fraction, start: Fraction) -> bool:
    """Whether a copy of a track can begin at any time, not only where a packet does.

    FFmpeg does not leave out a part of the samples of a Vorbis packet in MP4.

    Args:
        codec: Name of the decoder.
        first: Time of the first sample of the track, in seconds.
        start: Start of the part.

    """
    return "vorbis" not in codec or start <= first + ROUNDING


def run_in(codec: str, packet: Packet[Stream], delay: Fraction | None) -> Fraction:
    """Return the seconds before a part from which on packets of sound are kept.

    Args:
        codec: Name of the decoder.
        packet: A packet of the track.
        delay: Most seconds before 0 that the container can hold, but for rounding; None if there is
            no limit.

    """
    length = (packet.duration or 0) * packet.time_base
    if codec.startswith(_INDEPENDENT):
        wanted = max(length - ROUNDING, Fraction(0))
    else:
        wanted = max(_LONG_RUN_IN if codec.startswith("mp") else _RUN_IN, 2 * length)
    return wanted if delay is None else min(wanted, delay + ROUNDING)


def clip(packet: Packet[Stream], window: TimeSpan, before: Fraction) -> bool:
    """Whether a packet is kept; an earlier subtitle is shortened to the start of the part.

    Args:
        packet: Of sound or subtitles.
        window: The part.
        before: Seconds before it from which on sound is kept.

    """
    ticks = packet.pts if packet.pts is not None else packet.dts
    assert ticks is not None
    start = ticks * packet.time_base
    if start >= window.end:
        return False
    if start >= window.start:
        return True
    if packet.stream.type != "subtitle":
        return start >= window.start - before
    end = (ticks + (packet.duration or 0)) * packet.time_base
    if end <= window.start:
        return False
    first = -(-window.start // packet.time_base)
    packet.duration = ticks + (packet.duration or 0) - first
    packet.pts = packet.dts = first
    return packet.duration > 0
