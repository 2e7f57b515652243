"""Join the sound of the recordings in a file, as PCM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import Stream

from jdsr_cli.errors import MediaError
from jdsr_cli.media.later_recordings import LaterRecording
from jdsr_cli.media.slices import DataFile
from jdsr_cli.media.writing.clipping import TimeSpan
from jdsr_cli.media.writing.containers import TrackKind
from jdsr_cli.media.writing.packet_times import READ_MARGIN, packet_time
from jdsr_cli.media.writing.silence import describe_filled
from jdsr_cli.media.writing.sound import (
    PCM_CODEC,
    DecodedTrack,
    has_unknown_format,
    open_tracks,
)
from jdsr_cli.media.writing.trials import joined_kind
from jdsr_cli.media.writing.verify import TrackTally

_RUN_IN = Fraction(1, 2)
"""Seconds before a part from which on packets are decoded."""


class JoinedSound:
    """The sound of all recordings in a file, decoded, and stored at its times in the video.

    Compressed sound cannot be joined without gaps or repeated samples: its packets overlap, and
    each recording begins with samples that are not played. Sound of a recording is kept from its
    first frame to that of the next one. The n-th tracks of all recordings are one track.

    Args:
        first: The first recording that was read.
        later: Those that follow it.

    """

    def __init__(self, first: DataFile, later: Sequence[LaterRecording]) -> None:
        starts = [one.start for one in later]
        shifts = [Fraction(0), *(one.shift for one in later)]
        files = [first, *(one.part for one in later)]
        spans = zip([None, *starts], [*starts, None], strict=True)
        self._parts = list(zip(files, shifts, spans, strict=True))
        self._number = -1
        self._source: InputContainer | None = None
        self._shift = Fraction(0)
        self._offset = Fraction(0)
        self._window: TimeSpan | None = None
        self._tracks: list[DecodedTrack] = []
        self._current: dict[int, int] = {}
        """Stream of the recording that is read, and its track."""
        self._packets: Iterator[Packet[Stream]] = iter(())
        self._waiting: Packet[Stream] | None = None
        self._untimed = 0
        self._faults: list[str] = []
        self.tallies: list[TrackTally] = []

    def kinds(self) -> list[TrackKind]:
        """Return the tracks, with the containers that take them."""
        found: list[TrackKind] = []
        for number, (file, _, _) in enumerate(self._parts):
            source = self._open(number)
            if source is not None:
                with source:
                    found += [joined_kind(file, one) for one in _sounds(source)[len(found) :]]
        return found

    def attach(self, output: OutputContainer, window: TimeSpan | None) -> None:
        """Add a stream to `output` for every track.

        Args:
            output: The container that is written.
            window: Only sound of this time span is kept, in seconds before `shift_by`.

        """
        self._window = window
        subtitles = unknown = 0
        for number in range(len(self._parts)):
            source = self._open(number)
            if source is None:
                continue
            with source:
                for stream in _sounds(source)[len(self._tracks) :]:
                    self._tracks.append(DecodedTrack(stream, output))
                    self._tracks[-1].target.metadata.update(stream.metadata)
                    self.tallies.append(TrackTally("audio", PCM_CODEC))
                unknown += len(source.streams.audio) - len(_sounds(source))
                if number:
                    subtitles += len(source.streams.subtitles)
        self._faults.append(f"the sound of several recordings was joined as {PCM_CODEC}")
        if unknown:
            self._faults.append(f"sound of unknown format could not be kept ({unknown} tracks)")
        if subtitles:
            self._faults.append(f"subtitles of later recordings are not kept ({subtitles} tracks)")

    def shift_by(self, seconds: Fraction) -> None:
        """Set the seconds added to every time; call it before the first packet is copied."""
        self._offset = seconds

    def copy_until(self, output: OutputContainer, time: Fraction | None) -> None:
        """Mux all sound before `time` in seconds, or all that remains if it is None.

        Raises:
            av.FFmpegError: The output cannot be written.

        """
        while self._number < len(self._parts):
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                self._next_part(output)
                continue
            when = packet_time(packet)
            if when is None:
                self._untimed += int(packet.size > 0)
                continue
            when += self._shift + self._offset
            if time is not None and when > time:
                self._waiting = packet
                return
            start, end = self._span()
            if end is not None and when > end + READ_MARGIN:
                self._packets = iter(())
                continue
            if start - _RUN_IN <= when and (end is None or when < end):
                track = self._current[packet.stream_index]
                self._mux(output, packet, track)

    def warnings(self) -> list[str]:
        """Return one sentence for each property that was not kept."""
        messages = list(self._faults)
        if self._untimed:
            messages.append(f"{self._untimed} sound packets without a time were left out")
        messages += describe_filled(track.filled for track in self._tracks)
        undecoded = sum(track.undecoded for track in self._tracks)
        if undecoded:
            messages.append(f"{undecoded} packets of sound could not be decoded")
        return messages

    def close(self) -> None:
        """Close the input."""
        self._packets = iter(())
        self._waiting = None
        if self._source is not None:
            self._source.close()
            self._source = None

    def _next_part(self, output: OutputContainer) -> None:
        """Finish the recording that was read, and begin with the next one."""
        for track in self._current.values():
            self._mux(output, None, track)
        self._current = {}
        self.close()
        self._number += 1
        if self._number == len(self._parts):
            return
        self._shift = self._parts[self._number][1]
        start, end = self._span()
        self._source = self._open(self._number) if end is None or start < end else None
        if self._source is None:
            return
        sounds = _sounds(self._source)
        for number, stream in enumerate(sounds):
            self._current[stream.index] = number
            self._tracks[number].follow(stream)
        if sounds:
            self._packets = self._demux(self._source, sounds)

    def _open(self, number: int) -> InputContainer | None:
        """Open a recording; None if that is not possible, which is noted once."""
        try:
            return open_tracks(self._parts[number][0])
        except MediaError as exc:
            text = f"the sound of recording {number + 1} could not be read: {exc.what}"
            if text not in self._faults:
                self._faults.append(text)
            return None

    def _demux(
        self, source: InputContainer, sounds: Sequence[AudioStream]
    ) -> Iterator[Packet[Stream]]:
        """Yield the packets of sound up to where the file can be read."""
        try:
            yield from (packet for packet in source.demux(sounds) if packet.size)
        except av.FFmpegError as exc:
            self._faults.append(f"the sound ends early: reading stopped ({exc.strerror})")

    def _mux(self, output: OutputContainer, packet: Packet[Stream] | None, track: int) -> None:
        start, end = self._span()
        shift = self._shift + self._offset
        self.tallies[track].bytes += self._tracks[track].mux(output, packet, shift, end, start)

    def _span(self) -> tuple[Fraction, Fraction | None]:
        """Return the time in the output of the sound that is kept of a recording."""
        first, last = self._parts[self._number][2]
        starts, ends = [-self._offset, first], [last]
        if self._window is not None:
            starts.append(self._window.start)
            ends.append(self._window.end)
        start = max(one for one in starts if one is not None) + self._offset
        end = min((one for one in ends if one is not None), default=None)
        return start, None if end is None else end + self._offset


def _sounds(source: InputContainer) -> list[AudioStream]:
    """Return the sound tracks that can be decoded."""
    return [
        stream
        for stream in source.streams.audio
        if stream.codec_context is not None and not has_unknown_format(stream)
    ]
