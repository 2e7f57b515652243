"""Which container an output gets, by what it has to hold, and the name that follows from it."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av

_SUFFIXES = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv"}
"""Containers in order of choice. The first two keep any rational time, Matroska only 1 ms."""

_MILLISECONDS = 1000

_LARGEST_TIMESCALE = 2**31 - 1


@dataclass(frozen=True)
class TrackKind:
    """What a container has to know of a track to tell whether it can hold it.

    Attributes:
        type: "audio", "subtitle", "video", "data" or "attachment".
        codec: Name of the codec.
        time_base: Seconds per unit of its times.
        sample_rate: Samples per second of sound, otherwise 0.

    """

    type: str
    codec: str
    time_base: Fraction
    sample_rate: int = 0


@lru_cache
def _storable(container: str) -> frozenset[str]:
    with av.open(io.BytesIO(), mode="w", format=container) as output:
        return frozenset(output.supported_codecs)


def can_store(container: str, codec: str) -> bool:
    """Whether a container ("mp4", "mov" or "matroska") can hold a stream of that codec."""
    return codec in _storable(container)


def choose_container(encoder: str, time_base: Fraction, tracks: Sequence[TrackKind]) -> str:
    """Return the container that holds the video and most of the sound and subtitles.

    MP4 where it holds all of them, else QuickTime. Matroska only where that keeps subtitles
    that would be lost, all sound fits too, and no time would be rounded.

    Args:
        encoder: FFmpeg's name of the video's encoder.
        time_base: Seconds per unit of the video's times.
        tracks: The sound and subtitles.

    """

    def held(name: str, kind: str) -> int:
        return sum(can_store(name, track.codec) for track in tracks if track.type == kind)

    fitting = [name for name in ("mp4", "mov") if can_store(name, encoder)]
    best = max(fitting, key=lambda name: (held(name, "audio"), held(name, "subtitle")))
    times = [time_base, *(track.time_base for track in tracks)]
    exact = all((time * _MILLISECONDS).denominator == 1 for time in times)
    if (
        exact
        and can_store("matroska", encoder)
        and held("matroska", "subtitle") > held(best, "subtitle")
        and held("matroska", "audio") == sum(track.type == "audio" for track in tracks)
    ):
        return "matroska"
    return best


def final_name(path: Path, container: str) -> Path:
    """Return `path` with the suffix of the container (an .mp4 or .m4v is left to MP4 as is)."""
    suffix = path.suffix.lower()
    if container == "mp4" and suffix in (".mp4", ".m4v"):
        return path
    return path if suffix == _SUFFIXES[container] else path.with_suffix(_SUFFIXES[container])


def movie_timescale(time_base: Fraction, sample_rates: Iterable[int]) -> int:
    """Return ticks per second in which MP4 edit lists express every start exactly."""
    video = time_base.denominator
    common = math.lcm(video, *[rate for rate in sample_rates if rate > 0])
    if common > _LARGEST_TIMESCALE:
        common = video
    return min(common, _LARGEST_TIMESCALE)
