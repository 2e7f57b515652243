"""Decode packets, and make timestamps increase strictly."""

from __future__ import annotations

import sys
from collections.abc import Generator
from fractions import Fraction

import av
from av.codec import CodecContext
from av.codec.codec import UnknownCodecError
from av.codec.context import Flags
from av.container.input import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from jdsr_cli.media.reading.presentation import FrameOrigin, PacketTimes, PresentationTimes
from jdsr_cli.settings import DEFAULT_FRAME_RATE

_THREADS = 4
"""Number of decoder threads. It is fixed, since the concealment of damaged H.264 frames depends on
it: a file must give the same pictures on every machine and in a resumed run. The threads share the
slices of one frame: with frame threads, whole frames after a damaged last packet would be lost."""

_FLUSHES = 64
"""Number of attempts to flush the decoder while it reports errors; more than its threads and its
reordered frames together."""

_ATTEMPTS = 8
"""Number of attempts to continue reading after an error without getting a packet."""

_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders of transparency, which FFmpeg's own decoders of these codecs ignore."""


def _decoder_of(stream: VideoStream) -> VideoCodecContext:
    """Return the decoder of a stream: that of libvpx if the stream has transparency."""
    own = stream.codec_context
    if stream.metadata.get("alpha_mode") != "1" or own.name not in _WITH_ALPHA:
        return own
    try:
        decoder = CodecContext.create(_WITH_ALPHA[own.name], "r")
    except UnknownCodecError:
        return own
    assert isinstance(decoder, VideoCodecContext)
    decoder.options = dict(own.options)
    return decoder


class PacketDecoder:
    """Decode one video stream of an opened container.

    Args:
        container: The container; the packets of all streams are read, to find where each one ends.
        stream: The stream.
        length: Position up to which packets must end, others count as skipped; None for no limit.

    Attributes:
        packets: Number of packets of the stream so far.
        discarded: Number of those packets that are flagged as not displayed.
        skipped: Number of those packets that could not be decoded.
        interruptions: Number of times that reading failed and continued after the error.
        stopped: Why reading ended before the end of the file, None if it did not.
        new_streams: Whether streams appeared that were not present when the file was opened.
        end: Latest end of a packet of any stream so far, in seconds.
        reached: Last position of the file at which a packet of any stream starts so far, of this
            stream one that could be decoded.
        last_dts: Latest decoding time of a packet of the stream so far in ticks, None if none.
        times: Times of the frames.

    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, length: int | None = None
    ) -> None:
        self._container = container
        self._length = sys.maxsize if length is None else length
        self._stream = stream
        self._decoder = _decoder_of(stream)
        self._decoder.thread_type = "SLICE"
        self._decoder.thread_count = _THREADS
        # Otherwise what H.264 and HEVC crop on the left is rounded to the alignment of memory.
        self._decoder.flags |= Flags.unaligned
        self.packets = 0
        self.discarded = 0
        self.skipped = 0
        self.interruptions = 0
        self.stopped: str | None = None
        self.new_streams = False
        self.end = Fraction(0)
        self.reached = 0
        self.last_dts: int | None = None
        self.times = PresentationTimes(stream)

    def frames(self) -> Generator[VideoFrame, None, None]:
        """Yield every frame that can be decoded, in the order of presentation; call it once.

        The attribute `pts` of each frame is its presentation time, or None; `opaque` is its
        `FrameOrigin`.
        """
        index = self._stream.index
        for packet in self._demux():
            if packet.stream_index != index:
                self._update_end(packet)
                self._update_position(packet)
            elif packet.size or packet.dts is not None:
                self._update_end(packet)
                before = self.skipped
                self.packets += 1
                self.discarded += int(packet.is_discard)
                if packet.dts is not None:
                    self.last_dts = max(packet.dts, self.last_dts or 0)
                self.times.register(packet)
                frames = self._frames_of(packet)
                if self.skipped == before:
                    self._update_position(packet)
                yield from self.times.add(frames)
        yield from self.times.finish(self._flush())

    def _flush(self) -> Generator[VideoFrame, None, None]:
        """Yield the frames that remain in the decoder, if it was opened."""
        for _ in range(_FLUSHES):
            before = self.skipped
            yield from self._frames_of(None)
            if self.skipped == before or not self._decoder.is_open:
                return

    def _demux(self) -> Generator[Packet[Stream], None, None]:
        """Yield all packets; after an error continue where the demuxer resynchronises."""
        failures = 0
        fault: str | None = None
        while failures < _ATTEMPTS:
            try:
                for packet in self._container.demux():
                    if fault is not None and packet.size:
                        self.interruptions += 1
                        failures, fault = 0, None
                    if (packet.pos or 0) + packet.size > self._length:
                        self.skipped += 1
                    else:
                        yield packet
                break
            except IndexError:
                # PyAV cannot flush a stream that was not present when the file was opened.
                self.new_streams = True
                break
            except av.FFmpegError as exc:
                failures += 1
                fault = exc.strerror
        self.stopped = fault

    def _frames_of(self, packet: Packet[Stream] | None) -> list[VideoFrame]:
        """Decode one packet, or flush the decoder if it is None."""
        try:
            frames = self._decoder.decode(packet)
            aspect = self._decoder.sample_aspect_ratio
            if packet is not None and isinstance(packet.opaque, PacketTimes):
                packet.opaque.aspect = aspect
            for frame in frames:
                times = frame.opaque if isinstance(frame.opaque, PacketTimes) else None
                # Frames of earlier packets may be delivered after the ratio has changed.
                frame.opaque = FrameOrigin(times, aspect if times is None else times.aspect)
            return frames
        except av.error.EOFError:
            return []
        except av.FFmpegError:
            self.skipped += 1
            return []

    def _update_end(self, packet: Packet[Stream]) -> None:
        if packet.pts is not None and packet.time_base:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self.end = max(self.end, end)

    def _update_position(self, packet: Packet[Stream]) -> None:
        self.reached = max(self.reached, packet.pos or 0)

    def warnings(self) -> list[str]:
        """Return one sentence for each problem found so far."""
        found = []
        if self.interruptions:
            found.append(f"reading was interrupted {self.interruptions} times by damaged data")
        if self.stopped is not None:
            found.append(f"reading stopped before the end of the file ({self.stopped})")
        if self.new_streams:
            found.append("streams that begin within the file were not read")
        return found


_JUMP_STEPS = 3
"""Number of frames from which on a step back in time is a new recording, not jitter."""

_CONSTANT_SHARE = Fraction(9, 10)
"""Share of equal steps from which on a rate counts as constant, so that a gap is a loss."""


class Timeline:
    """Assign a strictly increasing time to every frame of a stream, and count the corrections.

    Increasing timestamps are unchanged. A frame without timestamp follows the previous one at the
    nominal rate. If time steps back by less than three frames, the frame is assigned the time one
    tick after the previous one; if it jumps back further (a recorder that restarted), this frame
    and all later ones are shifted, with unchanged distances. Gaps are unchanged, but reported if
    the rate is constant otherwise, since frames are missing there.

    Args:
        time_base: Seconds per tick.
        frame_rate: Nominal frames per second, None if unknown (25 is assumed).

    """

    def __init__(self, time_base: Fraction, frame_rate: Fraction | None) -> None:
        rate = frame_rate or DEFAULT_FRAME_RATE
        self._step = max(1, round(1 / (rate * time_base)))
        self._time_base = time_base
        self._first = 0
        self._last: int | None = None
        self._offset = 0
        self.missing = 0
        self.moved = 0
        self.jumps = 0
        self._steps = 0
        self._regular = 0
        self._regular_ticks = 0
        self._gaps = 0
        self._gap_ticks = 0
        self._first_gap = Fraction(0)

    def assign(self, pts: int | None) -> int:
        """Return the time of the next frame in ticks, given its timestamp or None."""
        last = self._last
        if pts is None:
            self.missing += 1
            time = 0 if last is None else last + self._step
        else:
            time = pts + self._offset
            if last is not None and time <= last:
                time = self._correct(time, last)
            elif last is not None:
                self._count_gap(time - last, last)
        if last is None:
            self._first = time
        self._last = time
        return time

    def _correct(self, time: int, last: int) -> int:
        if last - time < _JUMP_STEPS * self._step:
            self.moved += 1
            return last + 1
        self.jumps += 1
        self._offset += last + self._step - time
        return last + self._step

    def _count_gap(self, step: int, last: int) -> None:
        """Count a step between frames, as a gap if it is one."""
        self._steps += 1
        if round(step / self._step) <= 1:
            self._regular += 1
            self._regular_ticks += step
        else:
            if not self._gaps:
                self._first_gap = (last - self._first) * self._time_base
            self._gaps += 1
            self._gap_ticks += step

    def _lost(self) -> int:
        """Return the number of frames that fit into the gaps.

        They are as far apart as the other frames: gaps lower the nominal rate, if it is an average.
        """
        return round(self._gap_ticks * self._regular / self._regular_ticks) - self._gaps

    def warnings(self, *, gaps: bool) -> list[str]:
        """Return one sentence for each kind of correction.

        Args:
            gaps: Whether a gap means that frames are missing.

        """
        found = []
        if self.missing:
            found.append(f"{self.missing} frames had no timestamp; the nominal rate was used")
        if self.moved:
            found.append(f"{self.moved} timestamps did not increase; they were moved by one tick")
        if self.jumps:
            found.append(
                f"time jumps back {self.jumps} times; the times of later frames were shifted"
            )
        if gaps and self._gaps and self._regular >= _CONSTANT_SHARE * self._steps:
            found.append(
                f"about {self._lost()} frames are missing in {self._gaps} gaps of an otherwise "
                f"constant rate, the first after {float(self._first_gap):.2f} s"
            )
        return found
