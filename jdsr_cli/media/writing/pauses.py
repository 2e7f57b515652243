"""Find out whether MP4 can store the pauses of the sound and subtitles of an input.

Their tracks have the sample rate, or the units of the input, as time scale, which cannot be chosen
as for the video; see `time_bases`. Those of PCM have no pauses; see `silence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction

import av
from av.container.input import InputContainer
from av.stream import Stream

from jdsr_cli.errors import MediaError
from jdsr_cli.media.later_recordings import LaterRecording
from jdsr_cli.media.slices import DataFile
from jdsr_cli.media.writing.clipping import TimeSpan, starts_between_packets
from jdsr_cli.media.writing.containers import KEPT_TYPES, can_store
from jdsr_cli.media.writing.silence import LONGEST_FILLED, bytes_per_sample
from jdsr_cli.media.writing.sound import has_unknown_format, open_tracks
from jdsr_cli.media.writing.time_bases import LARGEST_TICKS

_MICROSECONDS = 1_000_000


def can_store_joined_pauses(first: DataFile, later: Sequence[LaterRecording]) -> bool:
    """Whether the pauses of the sound of several recordings, joined as PCM, can be filled.

    Args:
        first: The first recording.
        later: Those that follow it.

    """
    silent: Fraction | None = None
    for one in later:
        if one.audio_streams and silent is not None:
            if one.start - silent > LONGEST_FILLED:
                return False
            silent = None
        elif not one.audio_streams and silent is None:
            silent = one.start
    whole, stored = TimeSpan(Fraction(0), Fraction(0)), True
    for file in (first, *(one.part for one in later if one.audio_streams)):
        with suppress(MediaError):  # Its sound is left out, with a note.
            stored &= can_store_pauses(file, whole, trimmed=False, decoded=True)
    return stored


def can_store_pauses(
    file: DataFile, span: TimeSpan, *, trimmed: bool, decoded: bool = False
) -> bool:
    """Whether MP4 can store the longest pause of every sound and subtitle track.

    All packets are read if the input is so long that a pause of that length could be too long.

    Args:
        file: The input.
        span: From the first frame of the video to the last.
        trimmed: Whether only the sound and subtitles in this span are stored.
        decoded: Whether all sound is stored as PCM.

    Raises:
        MediaError: The file cannot be opened.

    """
    with open_tracks(file) as container:
        limits = {
            stream.index: _longest_pause(stream, decoded or (trimmed and _is_cut(stream, span)))
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


def _is_cut(stream: Stream, span: TimeSpan) -> bool:
    """Whether a part of a track cannot begin where the span does without being decoded."""
    codec = "" if stream.codec_context is None else stream.codec_context.name
    first = (stream.start_time or 0) * (stream.time_base or Fraction(1, _MICROSECONDS))
    return not starts_between_packets(codec, first, span.start)


def _longest_pause(stream: Stream, decoded: bool) -> Fraction:
    """Return the seconds of the longest pause that MP4 or QuickTime stores of a track.

    Args:
        stream: The track.
        decoded: Whether sound may be stored as PCM although its codec can be stored.

    """
    context = stream.codec_context
    rate = getattr(context, "sample_rate", 0)
    scale = int(rate or (stream.time_base or Fraction(1, _MICROSECONDS)).denominator)
    limit = Fraction(LARGEST_TICKS, scale)
    codec = "" if context is None else context.name
    copied = can_store("mp4", codec) or can_store("mov", codec)
    copied &= not decoded and bytes_per_sample(codec) is None
    is_pcm = stream.type == "audio" and not copied
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
