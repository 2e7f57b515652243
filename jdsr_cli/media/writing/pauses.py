"""Find out whether MP4 can store the pauses of the sound and subtitles of an input.

Their tracks have the sample rate, or the units of the input, as time scale, which cannot be chosen
as for the video; see `time_bases`.
"""

from __future__ import annotations

from fractions import Fraction

import av
from av.container.input import InputContainer
from av.stream import Stream

from jdsr_cli.media.slices import DataFile
from jdsr_cli.media.writing.clipping import TimeSpan
from jdsr_cli.media.writing.sound import has_unknown_format, open_tracks
from jdsr_cli.media.writing.time_bases import LARGEST_TICKS

_KINDS = ("audio", "subtitle")
_MICROSECONDS = 1_000_000


def can_store_pauses(file: DataFile, span: TimeSpan, *, trimmed: bool) -> bool:
    """Whether MP4 can store the longest pause of every sound and subtitle track.

    All packets are read if the input is so long that a pause of that length could be too long.

    Args:
        file: The input.
        span: From the first frame of the video to the last.
        trimmed: Whether only the sound and subtitles in this span are stored.

    Raises:
        MediaError: The file cannot be opened.

    """
    with open_tracks(file) as container:
        scales = {
            stream.index: _timescale(stream)
            for stream in container.streams
            if stream.type in _KINDS and not has_unknown_format(stream)
        }
        length = span.end - span.start
        if not trimmed:
            length = max(length, Fraction(container.duration or 0, _MICROSECONDS))
        if all(length * scale <= LARGEST_TICKS for scale in scales.values()):
            return True
        try:
            return _are_stored(container, scales, span if trimmed else None)
        except av.FFmpegError:
            # Copying ends there as well, with a note.
            return True


def _timescale(stream: Stream) -> int:
    """Return the units per second of the track that MP4 would hold."""
    rate = getattr(stream.codec_context, "sample_rate", 0)
    return int(rate or (stream.time_base or Fraction(1, _MICROSECONDS)).denominator)


def _are_stored(container: InputContainer, scales: dict[int, int], window: TimeSpan | None) -> bool:
    last: dict[int, Fraction] = {}
    for packet in container.demux([container.streams[index] for index in scales]):
        ticks = packet.dts if packet.dts is not None else packet.pts
        if ticks is None:
            continue
        time = ticks * packet.time_base
        if window is not None and not window.start <= time < window.end:
            continue
        before = last.get(packet.stream_index, time)
        if (time - before) * scales[packet.stream_index] > LARGEST_TICKS:
            return False
        last[packet.stream_index] = time
    return True
