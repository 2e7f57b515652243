"""Times of packets of sound and subtitles."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from av.packet import Packet
from av.stream import Stream

from jdsr_cli.media.writing.clipping import ROUNDING

READ_MARGIN = Fraction(10)
"""Seconds after a time span up to which packets that belong inside it may still follow."""


def packet_time(packet: Packet[Stream]) -> Fraction | None:
    """Return the time of a packet in seconds, that of decoding if it has one."""
    time_of_packet = packet.dts if packet.dts is not None else packet.pts
    return None if time_of_packet is None else time_of_packet * packet.time_base


def skipped_samples(packet: Packet[Any]) -> int:
    """Return how many samples players leave out from a packet of sound on."""
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")


def move(packet: Packet[Stream], seconds: Fraction, delay: Fraction | None) -> None:
    """Add seconds to the times of a packet; those of sound are then in samples.

    Times that are earlier than `delay` before 0 by their rounding alone are moved there.
    """
    rate = getattr(packet.stream.codec_context, "sample_rate", 0)
    unit = Fraction(1, rate) if rate else packet.time_base
    factor = packet.time_base / unit
    shift = seconds / unit
    packet.pts = None if packet.pts is None else round(packet.pts * factor + shift)
    packet.dts = None if packet.dts is None else round(packet.dts * factor + shift)
    packet.duration = round((packet.duration or 0) * factor)
    packet.time_base = unit
    skipped = skipped_samples(packet) if rate else 0
    if skipped and packet.pts is not None and abs(packet.pts + skipped) * unit < ROUNDING:
        # The first sample that is played is at 0, but for the rounding of the times.
        packet.pts = packet.dts = -skipped
    if rate and delay is not None and packet.pts is not None and -packet.pts * unit > delay:
        packet.pts = packet.dts = -round(delay / unit)
