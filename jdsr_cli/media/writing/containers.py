"""Choose the container of an output, and its file name."""

from __future__ import annotations

import errno
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av

from jdsr_cli.media.slices import DataFile
from jdsr_cli.media.writing.time_bases import MILLISECONDS

_SUFFIXES = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv"}
"""Containers in order of preference. The first two keep any rational time, Matroska only 1 ms."""
CONTAINERS = tuple(_SUFFIXES)
"""FFmpeg's names of the containers, in that order."""
CONTAINER_NAMES = {"mp4": "MP4", "mov": "QuickTime", "matroska": "Matroska"}
"""Their names for messages."""

KEPT_TYPES = ("audio", "subtitle")
"""Types of tracks that are kept."""


class TracksRefusedError(Exception):
    """A container does not store the sound or subtitles, although each of them was tried."""


@dataclass(frozen=True)
class TrackKind:
    """Properties of a track that decide in which container it is stored.

    Attributes:
        file: The file that it is read from.
        index: Index of its stream in the file.
        type: "audio" or "subtitle".
        codec: Name of the codec.
        time_base: Seconds per unit of its times.
        sample_rate: Samples per second of sound, 0 for other types.
        copied: The containers that take its packets as they are.
        refused: The containers that have a place for the codec, but do not take these packets.
        decoded: The containers that take its samples as PCM; none for other types.

    """

    file: DataFile
    index: int
    type: str
    codec: str
    time_base: Fraction
    sample_rate: int = 0
    copied: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    decoded: frozenset[str] = frozenset()

    def is_stored(self, container: str) -> bool:
        """Whether a container takes it in any form."""
        return container in self.copied or container in self.decoded

    def is_refused(self, container: str) -> bool:
        """Whether a container refuses it for another reason than its codec."""
        return container in self.refused or (self.type == "audio" and not self.is_stored(container))


@lru_cache
def _storable(container: str) -> frozenset[str]:
    with av.open(io.BytesIO(), mode="w", format=container) as output:
        return frozenset(output.supported_codecs)


def can_store(container: str, codec: str) -> bool:
    """Whether a container ("mp4", "mov" or "matroska") has a place for streams of a codec."""
    return codec in _storable(container)


@lru_cache
def _takes_video(container: str, encoder: str) -> bool:
    """Whether a container takes videos of an encoder; QuickTime has a place for AV1, but does not.

    The header of Matroska cannot be tried without that of the video.
    """
    if container == "matroska" or not can_store(container, encoder):
        return can_store(container, encoder)
    try:
        with av.open(io.BytesIO(), mode="w", format=container) as output:
            stream = output.add_mux_stream(encoder, rate=25, width=64, height=64)
            stream.time_base = Fraction(1, 25)
            output.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def is_refusal(fault: av.FFmpegError) -> bool:
    """Whether FFmpeg refuses to store what it was given, rather than the system to write it."""
    if fault.errno == errno.EPERM:  # The code of muxers for some packets.
        return True
    return not isinstance(fault, (OSError, MemoryError))


def choose_container(
    encoder: str,
    time_base: Fraction,
    tracks: Sequence[TrackKind],
    excluded: Collection[str] = (),
) -> str:
    """Return the container that can store the video and most of the sound and subtitles.

    MP4 if it can hold all of them, otherwise QuickTime. Matroska only if it keeps sound that would
    be lost otherwise; or if it keeps such subtitles, can hold all sound, and rounds no time.

    Args:
        encoder: FFmpeg's name of the video's encoder.
        time_base: Seconds per unit of the video's times.
        tracks: The sound and subtitles.
        excluded: Containers that cannot be used, not all. Of the others Matroska is the last.

    """

    def count_copied(name: str, kind: str) -> int:
        return sum(name in track.copied for track in tracks if track.type == kind)

    def count_sound(name: str) -> int:
        return sum(track.is_stored(name) for track in tracks if track.type == "audio")

    usable = [name for name in CONTAINERS if name not in excluded and _takes_video(name, encoder)]
    fitting = [name for name in usable if name != "matroska"]
    if not fitting:
        return "matroska"
    best = max(
        fitting,
        key=lambda name: (
            count_sound(name), count_copied(name, "audio"), count_copied(name, "subtitle")
        ),
    )  # fmt: skip
    if "matroska" in usable and count_sound("matroska") > count_sound(best):
        return "matroska"
    times = [time_base, *(track.time_base for track in tracks)]
    exact = all((time * MILLISECONDS).denominator == 1 for time in times)
    if (
        exact
        and "matroska" in usable
        and count_copied("matroska", "subtitle") > count_copied(best, "subtitle")
        and count_copied("matroska", "audio") == sum(track.type == "audio" for track in tracks)
    ):
        return "matroska"
    return best


def final_name(path: Path, container: str) -> Path:
    """Return `path` with the suffix of the container (.mp4 and .m4v are both kept for MP4)."""
    suffix = path.suffix.lower()
    if container == "mp4" and suffix in (".mp4", ".m4v"):
        return path
    return path if suffix == _SUFFIXES[container] else path.with_suffix(_SUFFIXES[container])
