"""Choose the unit of the times of a video track so that the container can store its longest gap.

MP4 and QuickTime store durations and the offsets between decoding and presentation in 32 bits
(ISO/IEC 14496-12, `stts` and `ctts`). FFmpeg refuses larger ones than 2^31 - 1: eight hours without
a frame at 1/90000 s. Such a video is stored in a coarser unit; in one of which all times are
multiples if there is any that suffices, otherwise rounded by less than half a millisecond. Matroska
stores any gap, in milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

LARGEST_TICKS = 2**31 - 1
"""Largest duration or offset of one sample in MP4."""

LONGEST_PAUSE = Fraction(20 * 24 * 3600)
"""Seconds without a frame from which on a video is stored in Matroska: in MP4 its times would be
rounded to more than a millisecond soon after."""

MILLISECONDS = 1000
"""Units of Matroska in a second; also the least of a rounded time base in MP4."""

_SMALLEST_TIMESCALE = 10000
"""FFmpeg doubles smaller time scales of MP4 until they are as large, unless one is demanded."""

_NEAR = 64
"""Divisors of a time scale that are tried before any number of units is accepted."""


@dataclass(frozen=True)
class TimeUnits:
    """Units in which the times of a video are stored.

    Attributes:
        tick: Seconds per unit.
        timescale: Units per second that the MP4 track must have; None for FFmpeg's choice.
        exact: Whether all times are multiples.

    """

    tick: Fraction
    timescale: int | None = None
    exact: bool = True


def choose_units(
    time_base: Fraction, first: int, divisor: int, widest: int, *, matroska: bool
) -> TimeUnits:
    """Return the units for a video track, the time base itself if it suffices.

    Args:
        time_base: Seconds per tick of the times.
        first: Time of the first frame in ticks.
        divisor: Greatest common divisor of the times after it, counted from it, in ticks.
        widest: Longest time in ticks for which one duration or offset is needed.
        matroska: Whether the container is Matroska.

    Returns:
        The units; times are kept to half a millisecond if no gap exceeds `LONGEST_PAUSE`.

    """
    if matroska:
        exact = (time_base * MILLISECONDS).denominator == 1
        return TimeUnits(time_base if exact else Fraction(1, MILLISECONDS), exact=exact)
    seconds = widest * time_base
    if seconds * _effective(time_base.denominator) <= LARGEST_TICKS:
        return TimeUnits(time_base)
    limit = math.floor(LARGEST_TICKS / seconds)
    if time_base.denominator <= limit:
        return TimeUnits(time_base, time_base.denominator)
    common = math.gcd(first, divisor) * time_base
    if common.denominator <= limit:
        return TimeUnits(Fraction(1, common.denominator), common.denominator)
    least = -(-time_base.denominator // limit)
    for part in range(least, least + _NEAR):
        scale, rest = divmod(time_base.denominator, part)
        if not rest and scale > MILLISECONDS:
            return TimeUnits(Fraction(1, scale), scale, exact=False)
    scale = max(1, limit)
    return TimeUnits(Fraction(1, scale), scale, exact=False)


def movie_timescale(time_base: Fraction, sample_rates: Iterable[int]) -> int:
    """Return the ticks per second in which MP4 edit lists express every start exactly."""
    video = time_base.denominator
    common = math.lcm(video, *[rate for rate in sample_rates if rate > 0])
    if common > LARGEST_TICKS:
        common = video
    return min(common, LARGEST_TICKS)


def _effective(denominator: int) -> int:
    """Return the time scale that FFmpeg makes of a denominator."""
    while denominator < _SMALLEST_TIMESCALE:
        denominator *= 2
    return denominator
