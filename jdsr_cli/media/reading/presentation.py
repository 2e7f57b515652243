"""Assign presentation times to decoded frames, also where a file stores decoding times only.

Video codecs that use later frames for prediction (B-frames) store frames in another order than they
are shown in. Some containers and exporters store one time for each packet in that order: the time
of decoding (AVI, ASF, Matroska with a `V_MS/VFW/FOURCC` track, MP4 without `ctts`). FFmpeg then
reports the stored time, or a guess from it, as the presentation time, and frames seem to jump back
and forth.

Which of the two a stream stores is seen from the frames themselves: where a frame is shown after
one that was decoded later, its presentation time is the greater one, its decoding time the smaller
one. The presentation time of a frame is then the decoding time of the packet at which the decoder
releases the frame, as for the hypothetical decoders of ITU-T H.264, C.4 and ISO/IEC 13818-2, 6.1.1;
this is also the time by which the encoders of FFmpeg delay a stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_WINDOW = 20
"""Number of frames that are held until it is known what their times mean: encoders code at most 16
B-frames in a row."""

_LEAD = 3
"""Difference in votes that decides before the window is full: single times may be damaged."""

_MEMORY = 64
"""Number of packets and of shown frames that are compared; standards reorder 16 frames at most."""

_MAX_WAITING = 16
"""Number of frames that may wait for the time of their release."""


@dataclass(eq=False)
class PacketTimes:
    """The times of a packet; it accompanies the packet and its frame through the decoder.

    Attributes:
        number: Number of the packet in the stream, from 0.
        pts: Presentation time by the demuxer in ticks, or None.
        dts: Decoding time by the demuxer in ticks, or None.
        aspect: Sample aspect ratio by the decoder after this packet, None if unknown.

    """

    number: int
    pts: int | None
    dts: int | None
    aspect: Fraction | None = None

    @property
    def stated(self) -> int | None:
        """The time that the frame of this packet has by the file."""
        return self.dts if self.pts is None else self.pts


@dataclass(frozen=True, eq=False)
class FrameOrigin:
    """What is known of a decoded frame beside its picture: the attribute `opaque` of the frame.

    Attributes:
        packet: Times of the packet that it was decoded from, None if unknown.
        aspect: Sample aspect ratio by the decoder, None if unknown.

    """

    packet: PacketTimes | None
    aspect: Fraction | None


@dataclass(eq=False)
class _Shown:
    """A frame in the order of presentation.

    Attributes:
        frame: The frame.
        packet: Times of its packet, None if unknown.
        released: Number of the packet whose time of decoding is the time of presentation; None
            until that packet is read.

    """

    frame: VideoFrame
    packet: PacketTimes | None
    released: int | None = None


class PresentationTimes:
    """Set the `pts` of decoded frames to their presentation times.

    Times that are presentation times are unchanged; a frame without one gets the decoding time that
    the decoder reports. Frames are held, 20 at most, while it is unknown which of the two the
    stream stores.

    Args:
        stream: The stream, before its first packet is decoded.

    """

    def __init__(self, stream: VideoStream) -> None:
        context = stream.codec_context
        reorders = bool(context.codec.reorder)
        context.copy_opaque = self._reorders = reorders
        self._known: Literal["presentation", "decoding"] | None = (
            None if reorders else "presentation"
        )
        self._start = stream.start_time
        self._window = reorders and bool(context.has_b_frames)
        self._packets = 0
        self._pending: dict[int, PacketTimes] = {}
        self._recent: deque[PacketTimes] = deque(maxlen=_MEMORY)
        self._held: deque[_Shown] = deque()
        self._concordant = 0
        self._discordant = 0
        self._delivered = False
        self._clock = _DecodingClock()
        self._lag = 0
        self._last_stated: int | None = None
        self._reordered = False

    @property
    def derived(self) -> bool:
        """Whether the stream stores decoding times, from which the times are derived."""
        return self._known == "decoding"

    def register(self, packet: Packet[Stream]) -> None:
        """Mark a packet of the stream with its number, before it is decoded."""
        if not self._reorders:
            return
        times = PacketTimes(self._packets, packet.pts, packet.dts)
        if not self._packets and self._is_guessed(packet):
            self._known = "decoding"
        self._packets += 1
        packet.opaque = times
        if self._known == "presentation":
            return
        self._clock.add(times)
        if self._known is None:
            self._pending[times.number] = times
            self._pending.pop(times.number - _MEMORY, None)

    def _is_guessed(self, packet: Packet[Stream]) -> bool:
        """Whether the demuxer gave the first packet no presentation time.

        FFmpeg then sets it to one frame after the decoding time, and not as start of the stream.
        """
        if packet.pts is None or packet.dts is None or not packet.duration:
            return False
        return packet.pts == packet.dts + packet.duration and packet.pts != self._start

    def add(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        """Yield the frames whose times are known.

        Args:
            frames: The frames that the decoder returned for the last packet, in the order of
                presentation.

        """
        for frame in frames:
            self._append(frame)
        self._release(self._packets - 1)
        yield from self._ready()

    def finish(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        """Yield all frames that are left.

        Args:
            frames: The frames that the decoder returned when it was flushed.

        """
        for frame in frames:
            self._append(frame)
        self._conclude()
        number = self._packets
        while any(shown.released is None for shown in self._held):
            self._release(number)
            number += 1
        yield from self._ready()

    def _append(self, frame: VideoFrame) -> None:
        origin = frame.opaque
        packet = origin.packet if isinstance(origin, FrameOrigin) else None
        self._held.append(_Shown(frame, packet))
        if self._known is not None or packet is None or packet.stated is None:
            return
        self._pending.pop(packet.number, None)
        early = [one for one in self._recent if one.number > packet.number]
        differences = [packet.stated - one.stated for one in early if one.stated is not None]
        if any(difference < 0 for difference in differences):
            self._discordant += 1
        elif any(difference > 0 for difference in differences):
            self._concordant += 1
        self._recent.append(packet)
        self._window = self._window or any(
            number < packet.number and one.stated is not None and one.stated < packet.stated
            for number, one in self._pending.items()
        )

    def _release(self, number: int) -> None:
        """Assign a packet to the first frame that has none; to more if too many wait."""
        waiting = [shown for shown in self._held if shown.released is None]
        for shown in waiting[: max(1, len(waiting) - _MAX_WAITING)]:
            shown.released = number

    def _ready(self) -> Iterator[VideoFrame]:
        lead = self._concordant - self._discordant
        if self._known is None and (abs(lead) >= _LEAD or len(self._held) >= _WINDOW):
            self._conclude()
        while self._held and not (self.derived and self._held[0].released is None):
            if self._known is None and self._window:
                return
            yield self._timed(self._held.popleft())
            self._delivered = True

    def _conclude(self) -> None:
        """Decide what the times mean; without any evidence they are used as they are."""
        if self._known is not None:
            return
        numbers = [shown.packet.number for shown in self._held if shown.packet is not None]
        if self._concordant == self._discordant:
            # What was overtaken by all held frames has no picture, or could not be decoded.
            self._window = False
            for number in [one for one in self._pending if one < min(numbers, default=0)]:
                del self._pending[number]
            return
        self._known = "decoding" if self._discordant > self._concordant else "presentation"
        released = self._held[0].released if self._held else None
        if self._known == "decoding" and self._delivered and released is not None:
            # The times of the frames so far are continued without a step.
            self._lag = released - min([*numbers, *self._pending])
        self._clock.choose(self._lag > 0)
        self._pending.clear()
        self._recent.clear()

    def _timed(self, shown: _Shown) -> VideoFrame:
        frame = shown.frame
        derived = None
        stated = None if shown.packet is None else shown.packet.stated
        if stated is not None:
            back = self._last_stated is not None and stated < self._last_stated
            self._reordered = self._reordered or back
            self._last_stated = stated
        if self.derived and shown.released is not None:
            derived = self._clock.time(shown.released - self._lag)
        if derived is not None:
            frame.pts = derived
        elif frame.pts is None:
            frame.pts = frame.dts
        return frame

    def warnings(self) -> list[str]:
        """Return one sentence for what was assumed, if the times as stated go back."""
        if not (self.derived and self._reordered):
            return []
        note = "the file stores times of decoding; the times of presentation are derived from them"
        return [note]


class _DecodingClock:
    """The decoding times of the last packets by their numbers."""

    def __init__(self) -> None:
        self._packets: deque[PacketTimes] = deque(maxlen=_MEMORY)
        self._stated = False

    def add(self, packet: PacketTimes) -> None:
        """Add the next packet."""
        self._packets.append(packet)

    def choose(self, stated: bool) -> None:
        """Choose the times of the file: FFmpeg guesses either the one kind or the other.

        Args:
            stated: Whether those are needed that the demuxer gives as presentation times.

        """
        times = [packet.dts for packet in self._packets if packet.dts is not None]
        repeats = any(late <= early for early, late in pairwise(times))
        # Decoding times that are guessed from presentation times begin with a later packet.
        begins_late = bool(self._packets) and self._packets[0].dts is None
        self._stated = stated or repeats or begins_late

    def time(self, number: int) -> int | None:
        """Return the decoding time of a packet, extrapolated where there is none."""
        times: list[tuple[int, int]] = []
        for packet in self._packets:
            stored = packet.stated if self._stated else packet.dts
            # FFmpeg repeats the time of the last packet but one.
            repeated = bool(times) and stored == times[-1][1]
            if stored is not None and not repeated and packet.number <= number:
                times.append((packet.number, stored))
        if not times:
            return None
        last, time = times[-1]
        before, early = times[-2] if len(times) > 1 else times[-1]
        step = (time - early) // (last - before) if time > early else 0
        return time + (number - last) * step
