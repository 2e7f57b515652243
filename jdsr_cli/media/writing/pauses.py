"""Find out whether MP4 can store the pauses of the sound and subtitles of an input.

Their tracks have the sample rate, or the units of the input, as time scale, which cannot be chosen
as for the video; see `time_bases`. Those of PCM have no pauses; see `silence`.
"""

from __future__ import annotations

from fractions import Fraction

import av
from av.container.input import InputContainer
from av.stream import Stream

from jdsr_cli.media.slices import DataFile
from jdsr_cli.media.writing.clipping import TimeSpan
from jdsr_cli.media.writing.containers import KEPT_TYPES, can_store
from jdsr_cli.media.writing.silence import LONGEST_FILLED, bytes_per_sample
from jdsr_cli.media.writing.sound import has_unknown_format, open_tracks
from jdsr_cli.media.writing.time_bases import LARGEST_TICKS

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
        limits = {
            stream.index: _longest_pause(stream)
            for stream in container.streams
            if stream.type in KEPT_TYPES and not has_unknown_format(stream)
        }
        length = span.end - span.start
        if not trimmed:
            length = max(length, Fraction(container.duration or 0, _MICROSECONDS))
        if all(length <= limit for limit in limits.values()):
            return True
        try:
            return _are_stored(container, limits, span if trimmed else None)
        except av.FFmpegError:
            # Copying ends there as well, with a note.
            return True


def _longest_pause(stream: Stream) -> Fraction:
    """Return the seconds of the longest pause that MP4 or QuickTime stores of a track."""
    context = stream.codec_context
    rate = getattr(context, "sample_rate", 0)
    scale = int(rate or (stream.time_base or Fraction(1, _MICROSECONDS)).denominator)
    limit = Fraction(LARGEST_TICKS, scale)
    codec = "" if context is None else context.name
    copied = can_store("mp4", codec) or can_store("mov", codec)
    is_pcm = stream.type == "audio" and (bytes_per_sample(codec) is not None or not copied)
    return min(limit, LONGEST_FILLED) if is_pcm else limit


def _are_stored(
    container: InputContainer, limits: dict[int, Fraction], window: TimeSpan | None
) -> bool:
    last: dict[int, Fraction] = {}
    for packet in container.demux([container.streams[index] for index in limits]):
        ticks = packet.dts if packet.dts is not None else packet.pts
        if ticks is None:
            continue
        time = ticks * packet.time_base
        if window is not None and not window.start <= time < window.end:
            continue
        before = last.get(packet.stream_index, time)
        if time - before > limits[packet.stream_index]:
            return False
        last[packet.stream_index] = time
    return True
