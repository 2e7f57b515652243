"""Read a written video back to check that it contains every frame at its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container.input import InputContainer
from av.video.stream import VideoStream

from jdsr_cli.errors import MediaError, OutputError
from jdsr_cli.media.containers import open_container
from jdsr_cli.media.inputs import choose_stream
from jdsr_cli.media.writing.containers import KEPT_TYPES, TracksRefusedError

_HINT = "The disk may be failing or full; the file was removed."

_EMPTY_TEXT = 2
"""Bytes of an empty MP4 subtitle packet; the muxer adds such packets."""


@dataclass
class TimeTally:
    """Summary of timestamps that does not depend on their order and needs constant memory.

    Attributes:
        count: Number of timestamps.
        total: Their sum in seconds, exact.
        first: Earliest timestamp in seconds, None if there is none.
        last: Latest timestamp in seconds, None if there is none.

    """

    count: int = 0
    total: Fraction = Fraction(0)
    first: Fraction | None = None
    last: Fraction | None = None

    def add(self, time: Fraction) -> None:
        """Add a timestamp in seconds."""
        self.count += 1
        self.total += time
        self.first = time if self.first is None else min(self.first, time)
        self.last = time if self.last is None else max(self.last, time)

    def compare(self, written: TimeTally, path: Path) -> None:
        """Compare the timestamps found in a file with those that were written.

        Raises:
            OutputError: They differ; the message states both values.

        """
        if self.count != written.count:
            raise OutputError(
                f"contains {self.count} frames after writing instead of {written.count}",
                where=path,
                hint=_HINT,
            )
        if self != written:
            raise OutputError(
                f"contains other times than were written (from {_seconds(self.first)} to "
                f"{_seconds(self.last)} instead of {_seconds(written.first)} to "
                f"{_seconds(written.last)})",
                where=path,
                hint=_HINT,
            )


@dataclass
class TrackTally:
    """Amount of data in a sound or subtitle track.

    Attributes:
        type: "audio" or "subtitle".
        codec: Name of its codec.
        packets: Number of packets that are not empty.
        bytes: Total size of these packets.

    """

    type: str
    codec: str
    packets: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Add a packet of `size` bytes."""
        if size > (_EMPTY_TEXT if self.codec == "mov_text" else 0):
            self.packets += 1
            self.bytes += size

    @property
    def amount(self) -> tuple[int, str]:
        """Value and unit that are compared; muxers repacketise uncompressed samples."""
        if self.codec.startswith(("pcm_", "adpcm_")):
            return self.bytes, "bytes"
        return self.packets, "packets"


@dataclass(frozen=True)
class ExpectedContent:
    """Contents that a finished file is expected to have.

    Attributes:
        times: Times of the frames in seconds.
        duration: Seconds that the container states for the video, None if it states none.
        width: Width as stored, in pixels.
        height: Height as stored, in pixels.
        tracks: Sound and subtitle tracks, in order.

    """

    times: TimeTally
    duration: Fraction | None
    width: int
    height: int
    tracks: Sequence[TrackTally] = field(default_factory=tuple)


def verify_file(file: Path, expected: ExpectedContent, path: Path) -> list[str]:
    """Compare a written file with the frames and tracks given to the writer.

    Args:
        file: The file on the disk, under its temporary name.
        expected: Contents that were given to the writer.
        path: Name for messages.

    Returns:
        One sentence for each track whose amount of data differs from what was copied.

    Raises:
        TracksRefusedError: Tracks are missing.
        OutputError: Frames are missing, or the times, the duration or the size of the picture
            differ; the message states both values.

    """
    try:
        with open_container(file) as container:
            stream = choose_stream(container, file, None).stream
            times, tracks = _tallies(container, stream)
            duration = _duration(stream)
            size = (stream.codec_context.width, stream.codec_context.height)
    except MediaError as exc:
        raise _unreadable(exc.what, path) from exc
    except av.FFmpegError as exc:
        raise _unreadable(f"ends early ({exc.strerror})", path) from exc
    times.compare(expected.times, path)
    if size != (expected.width, expected.height):
        raise OutputError(
            f"contains pictures of {size[0]}x{size[1]} pixels after writing instead of "
            f"{expected.width}x{expected.height}",
            where=path,
            hint=_HINT,
        )
    if expected.duration is not None and duration != expected.duration:
        raise OutputError(
            f"lasts {_seconds(duration)} after writing instead of {_seconds(expected.duration)}",
            where=path,
            hint=_HINT,
        )
    return _compare_tracks(tracks, expected.tracks)


def _tallies(container: InputContainer, video: VideoStream) -> tuple[TimeTally, list[TrackTally]]:
    """Return the times of the displayed frames, and the amounts of data in the other tracks."""
    times = TimeTally()
    tracks = {
        stream.index: TrackTally(stream.type, stream.codec_context.name)
        for stream in container.streams
        if stream.type in KEPT_TYPES and stream.codec_context is not None
    }
    for packet in container.demux(video, *(container.streams[index] for index in tracks)):
        if packet.stream_index in tracks:
            tracks[packet.stream_index].add(packet.size)
        elif packet.pts is not None and packet.size and not packet.is_discard:
            times.add(packet.pts * packet.time_base)
    return times, list(tracks.values())


def _duration(video: VideoStream) -> Fraction | None:
    """Return the seconds that the container states for the video, None if it states none."""
    if video.duration is None or video.time_base is None:
        return None
    return video.duration * video.time_base


def _compare_tracks(found: Sequence[TrackTally], expected: Sequence[TrackTally]) -> list[str]:
    notes = []
    if len(found) < len(expected):
        # MP4 and QuickTime leave out a track without packets, as in a part without sound.
        filled = [track for track in expected if track.amount[0]]
        notes.append(
            f"{len(expected) - len(filled)} of {len(expected)} sound and subtitle tracks have "
            "nothing to store and were left out"
        )
        expected = filled
    if [track.type for track in found] != [track.type for track in expected]:
        raise TracksRefusedError(
            f"{len(found)} sound and subtitle tracks after writing instead of {len(expected)}"
        )
    for number, (actual, copied) in enumerate(zip(found, expected, strict=True), 1):
        if actual.amount != copied.amount:
            (count, unit), (required, _) = actual.amount, copied.amount
            notes.append(
                f"track {number} ({copied.type}) contains {count} {unit} instead of {required}"
            )
    return notes


def _unreadable(what: str, path: Path) -> OutputError:
    return OutputError(f"cannot be read back after writing ({what})", where=path, hint=_HINT)


def _seconds(time: Fraction | None) -> str:
    return "nothing" if time is None else f"{float(time):.6f} s"
