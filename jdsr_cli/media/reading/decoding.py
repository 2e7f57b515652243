"""Decode packets, make timestamps increase strictly, and select the requested part in time."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.container.input import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from jdsr_cli.errors import UsageError
from jdsr_cli.settings import ReadSettings

_THREADS = 4
"""Threads of the decoder. Fixed, since what H.264 makes of a damaged frame depends on it: the
same file must give the same pictures on every machine, and in a run that is taken up again.
They share the slices of a frame: threads that each have a frame lose whole frames that wait
behind a damaged last packet."""

_FLUSHES = 64
"""How often the decoder is asked for what it still holds while it answers with errors; more
than its threads and reordered frames together."""

_ATTEMPTS = 8
"""How often reading is tried again after a fault without a packet coming of it."""


class PacketDecoder:
    """Decodes one video stream of an opened container.

    Args:
        container: The container; all of its packets are taken, to see where each stream ends.
        stream: The stream.

    Attributes:
        packets: Packets of the stream so far.
        discarded: Those among them that are not to be shown.
        skipped: Those among them that could not be decoded.
        interruptions: How often reading failed and went on behind the fault.
        stopped: Why reading ended before the end of the file, None where it did not.
        newcomers: Whether streams appeared that were not there when the file was opened.
        end: Latest end of a packet of any stream so far, in seconds.

    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container = container
        self._stream = stream
        stream.codec_context.thread_type = "SLICE"
        stream.codec_context.thread_count = _THREADS
        self.packets = 0
        self.discarded = 0
        self.skipped = 0
        self.interruptions = 0
        self.stopped: str | None = None
        self.newcomers = False
        self.end = Fraction(0)

    def frames(self) -> Generator[VideoFrame, None, None]:
        """Yield every frame that can be decoded, in the decoder's order; called once.

        Each holds as `opaque` the sample aspect that the decoder knew with it, or None.
        """
        index = self._stream.index
        for packet in self._demux():
            if packet.stream_index != index:
                self._note_end(packet)
            elif packet.size or packet.dts is not None:
                self._note_end(packet)
                self.packets += 1
                self.discarded += int(packet.is_discard)
                yield from self._frames_of(packet)
        yield from self._rest()

    def _rest(self) -> Generator[VideoFrame, None, None]:
        """Yield what the decoder still holds; a decoder that never opened fails for ever."""
        for _ in range(_FLUSHES):
            before = self.skipped
            yield from self._frames_of(None)
            if self.skipped == before or not self._stream.codec_context.is_open:
                return

    def _demux(self) -> Generator[Packet[Stream], None, None]:
        """Yield all packets; behind a fault go on where the demuxer finds its feet again."""
        failures = 0
        fault: str | None = None
        while failures < _ATTEMPTS:
            try:
                for packet in self._container.demux():
                    if fault is not None and packet.size:
                        self.interruptions += 1
                        failures, fault = 0, None
                    yield packet
                break
            except IndexError:
                # PyAV cannot end a stream that it did not know when the file was opened.
                self.newcomers = True
                break
            except av.FFmpegError as exc:
                failures += 1
                fault = exc.strerror
        self.stopped = fault

    def _frames_of(self, packet: Packet[Stream] | None) -> list[VideoFrame]:
        """Decode one packet, or what the decoder still holds."""
        try:
            frames = self._stream.codec_context.decode(packet)
            for frame in frames:
                frame.opaque = self._stream.codec_context.sample_aspect_ratio
            return frames
        except av.error.EOFError:
            return []
        except av.FFmpegError:
            self.skipped += 1
            return []

    def _note_end(self, packet: Packet[Stream]) -> None:
        if packet.pts is not None and packet.time_base:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self.end = max(self.end, end)

    def warnings(self) -> list[str]:
        """Return one sentence for each thing that was amiss so far."""
        found = []
        if self.interruptions:
            found.append(f"reading was interrupted {self.interruptions} times by damaged data")
        if self.stopped is not None:
            found.append(f"reading stopped before the end of the file ({self.stopped})")
        if self.newcomers:
            found.append("streams that begin within the file were not read")
        return found


_JUMP_STEPS = 3
"""A step back of at least so many frames is a new recording joined on, not a jitter."""

_STEADY_SHARE = Fraction(9, 10)
"""Share of equal steps from which a stream has a constant rate, so that a gap is a loss."""


class Timeline:
    """Gives every frame of a stream its time, and remembers what had to be mended.

    Timestamps that increase are passed on untouched. Where one is missing, the frame follows
    the last one at the nominal rate. Where time steps back by less than three frames, the frame is
    put one tick after the last one; where it jumps back further (a recorder that began anew),
    this and all that follow are moved on, their distances kept. Gaps are left as they are, but
    told where the rate is constant otherwise, since frames are missing there.

    Args:
        time_base: Seconds per tick.
        frame_rate: Nominal frames per second, None where unknown (25 is taken).

    """

    def __init__(self, time_base: Fraction, frame_rate: Fraction | None) -> None:
        rate = frame_rate or Fraction(25)
        self._step = max(1, round(1 / (rate * time_base)))
        self._time_base = time_base
        self._last: int | None = None
        self._offset = 0
        self.missing = 0
        self.nudged = 0
        self.jumps = 0
        self._steps = 0
        self._steady = 0
        self._gaps = 0
        self._lost = 0
        self._first_gap = Fraction(0)

    def place(self, pts: int | None) -> int:
        """Return the time of the next frame in ticks, given its own timestamp if it has one."""
        last = self._last
        if pts is None:
            self.missing += 1
            placed = 0 if last is None else last + self._step
        else:
            placed = pts + self._offset
            if last is not None and placed <= last:
                placed = self._mend(placed, last)
            elif last is not None:
                self._judge(placed - last, last)
        self._last = placed
        return placed

    def _mend(self, placed: int, last: int) -> int:
        if last - placed < _JUMP_STEPS * self._step:
            self.nudged += 1
            return last + 1
        self.jumps += 1
        self._offset += last + self._step - placed
        return last + self._step

    def _judge(self, step: int, last: int) -> None:
        """Take note of a step that is as long as several frames."""
        self._steps += 1
        frames = round(step / self._step)
        if frames <= 1:
            self._steady += 1
        else:
            if not self._gaps:
                self._first_gap = last * self._time_base
            self._gaps += 1
            self._lost += frames - 1

    def warnings(self) -> list[str]:
        """Return one sentence for each kind of fault that was mended."""
        found = []
        if self.missing:
            found.append(f"{self.missing} frames had no timestamp; the nominal rate was taken")
        if self.nudged:
            found.append(f"{self.nudged} timestamps did not increase; moved one tick on")
        if self.jumps:
            found.append(f"time jumps back {self.jumps} times; what follows was joined on")
        if self._gaps and self._steady >= _STEADY_SHARE * self._steps:
            found.append(
                f"about {self._lost} frames are missing in {self._gaps} gaps of an otherwise "
                f"steady rate, the first after {float(self._first_gap):.2f} s"
            )
        return found


Place = Literal["before", "inside", "after"]


TRIM_IGNORED = "a still picture has no length; the part asked for was not cut out"
"""What is said of a still for which a part was chosen."""


class TrimWindow:
    """Tells of each frame whether it lies in the window, and of an empty window why it is so.

    Args:
        settings: Its start and end; either may be missing.

    """

    def __init__(self, settings: ReadSettings) -> None:
        self._start = settings.start or Fraction(0)
        self._end = settings.end
        self._origin: Fraction | None = None
        self._last_before: Fraction | None = None
        self._first_after: Fraction | None = None
        self._inside = 0

    def place(self, time: Fraction) -> Place:
        """Return where the next frame lies.

        Args:
            time: Its time in seconds; the first one given is that of the first frame.

        """
        if self._origin is None:
            self._origin = time
        moment = time - self._origin
        if moment < self._start:
            self._last_before = moment
            return "before"
        if self._end is not None and moment >= self._end:
            self._first_after = moment
            return "after"
        self._inside += 1
        return "inside"

    def check(self, file: Path) -> None:
        """See, once delivery has ended, that there was a frame in the window.

        Raises:
            UsageError: There was none; the message gives the real extent of the clip.

        """
        if self._inside or self._last_before is None:
            return
        start, end = _seconds(self._start), self._end
        wanted = f"from {start} on" if end is None else f"from {start} to {_seconds(end)}"
        if self._first_after is None:
            extent = f"the last one lies at {_seconds(self._last_before)}"
        else:
            extent = f"they lie at {_seconds(self._last_before)} and {_seconds(self._first_after)}"
        raise UsageError(
            f"no frame lies in the part {wanted}: {extent}",
            where=file,
            hint="Choose another --start or --end; they count from the first frame.",
        )


def _seconds(value: Fraction) -> str:
    return f"{float(value):.3f} s"
