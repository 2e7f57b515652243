"""Choose the container of an output, and its file name."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av

from jdsr_cli.media.writing.time_bases import MILLISECONDS

_SUFFIXES = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv"}
"""Containers in order of preference. The first two keep any rational time, Matroska only 1 ms."""

KEPT_TYPES = ("audio", "subtitle")
"""Types of tracks that are kept."""


@dataclass(frozen=True)
class TrackKind:
    """Properties of a track that decide whether a container can hold it.

    Attributes:
        type: "audio", "subtitle", "video", "data" or "attachment".
        codec: Name of the codec.
        time_base: Seconds per unit of its times.
        sample_rate: Samples per second of sound, 0 for other types.

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
    """Whether a container ("mp4", "mov" or "matroska") can hold a stream of a codec."""
    return codec in _storable(container)


def choose_container(encoder: str, time_base: Fraction, tracks: Sequence[TrackKind]) -> str:
    """Return the container that can store the video and most of the sound and subtitles.

    MP4 if it can hold all of them, otherwise QuickTime. Matroska only if it keeps subtitles that
    would be lost otherwise, can hold all sound, and rounds no time.

    Args:
        encoder: FFmpeg's name of the video's encoder.
        time_base: Seconds per unit of the video's times.
        tracks: The sound and subtitles.

    """

    def count_storable(name: str, kind: str) -> int:
        return sum(can_store(name, track.codec) for track in tracks if track.type == kind)

    fitting = [name for name in ("mp4", "mov") if can_store(name, encoder)]
    best = max(
        fitting, key=lambda name: (count_storable(name, "audio"), count_storable(name, "subtitle"))
    )
    times = [time_base, *(track.time_base for track in tracks)]
    exact = all((time * MILLISECONDS).denominator == 1 for time in times)
    if (
        exact
        and can_store("matroska", encoder)
        and count_storable("matroska", "subtitle") > count_storable(best, "subtitle")
        and count_storable("matroska", "audio") == sum(track.type == "audio" for track in tracks)
    ):
        return "matroska"
    return best


def final_name(path: Path, container: str) -> Path:
    """Return `path` with the suffix of the container (.mp4 and .m4v are both kept for MP4)."""
    suffix = path.suffix.lower()
    if container == "mp4" and suffix in (".mp4", ".m4v"):
        return path
    return path if suffix == _SUFFIXES[container] else path.with_suffix(_SUFFIXES[container])
