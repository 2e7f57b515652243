"""From packets to decoded frames, each packet accounted for and each fault kept."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction

import av
from av.container.input import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

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


class Decoder:
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
