"""Deinterlacing by FFmpeg's bwdif: one picture out for each frame in, at its own time.

Source of the method: bwdif ("Bob Weaver Deinterlacing Filter", T. Mundt), which blends the
cubic interpolation of w3fdif with the temporal checks of yadif.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.filter.graph import Graph
from av.video.frame import VideoFrame

from jdsr_cli.settings import Deinterlacing

_TICK = Fraction(1, 1000)
"""Time base told to the filter, which only needs some; the frames keep their own."""


@dataclass(frozen=True)
class Deinterlaced:
    """A frame as it left the decoder, and the picture to be shown for it.

    Attributes:
        source: The decoded frame: its times and flags are the ones that count.
        picture: The frame to be shown; `source` itself where nothing was done.

    """

    source: VideoFrame
    picture: VideoFrame

    @property
    def changed(self) -> bool:
        """Whether `picture` came out of the deinterlacer."""
        return self.picture is not self.source


class Deinterlacer:
    """Passes frames through, by way of bwdif from the first interlaced one on.

    The filter looks one frame back and one ahead, so it holds one frame back; it is emptied
    at the end and wherever size or pixel format change. Each picture is paired with the very
    frame that it was made of, so number and times are those of the source.

    Args:
        mode: "auto" deinterlaces frames flagged as interlaced, "on" all, "off" none.

    """

    def __init__(self, mode: Deinterlacing) -> None:
        self._mode = mode
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None
        self._waiting: deque[VideoFrame] = deque()
        self._refused: set[tuple[int, int, str]] = set()

    def through(self, frames: Iterator[VideoFrame]) -> Iterator[Deinterlaced]:
        """Yield one pair for each frame, in order."""
        for frame in frames:
            shape = (frame.width, frame.height, frame.format.name)
            if self._graph is not None and shape != self._shape:
                yield from self._flush()
            if self._graph is None and self._wants(frame) and shape not in self._refused:
                self._open(shape)
            if self._graph is None:
                yield Deinterlaced(frame, frame)
                continue
            self._waiting.append(frame)
            try:
                self._graph.vpush(frame)
            except (av.FFmpegError, ValueError):
                self._refused.add(shape)
                yield from self._flush()
                continue
            yield from self._ready()
        yield from self._flush()

    def _wants(self, frame: VideoFrame) -> bool:
        return self._mode == "on" or (self._mode == "auto" and frame.interlaced_frame)

    def _open(self, shape: tuple[int, int, str]) -> None:
        width, height, pixel_format = shape
        which = "all" if self._mode == "on" else "interlaced"
        graph = Graph()
        try:
            source = graph.add_buffer(
                width=width, height=height, format=av.VideoFormat(pixel_format), time_base=_TICK
            )
            bwdif = graph.add("bwdif", f"mode=send_frame:parity=auto:deint={which}")
            graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
        except (av.FFmpegError, ValueError):
            self._refused.add(shape)
            return
        self._graph, self._shape = graph, shape

    def _ready(self) -> Iterator[Deinterlaced]:
        """Yield what the filter gives out by now."""
        while self._graph is not None:
            try:
                picture = self._graph.vpull()
            except (BlockingIOError, EOFError):
                return
            source = self._waiting.popleft()
            done = self._mode == "on" or source.interlaced_frame
            yield Deinterlaced(source, picture if done else source)

    def _flush(self) -> Iterator[Deinterlaced]:
        """Empty the filter and close it; a frame that it kept is given out as it was."""
        if self._graph is not None:
            try:
                self._graph.vpush(None)
            except (av.FFmpegError, ValueError):
                self._graph = None
            yield from self._ready()
        self._graph = self._shape = None
        while self._waiting:
            source = self._waiting.popleft()
            yield Deinterlaced(source, source)
