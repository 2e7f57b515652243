"""Deinterlace decoded frames.

Deinterlacing uses FFmpeg's bwdif ("Bob Weaver Deinterlacing Filter", T. Mundt), which blends the
cubic interpolation of w3fdif with the temporal checks of yadif: one output picture for each input
frame, at the time of that frame.
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
"""Time base of the filter graph, which needs one; the frames keep their own times."""


@dataclass(frozen=True)
class Deinterlaced:
    """A decoded frame and its deinterlaced picture.

    Attributes:
        source: The decoded frame, with the times and flags that are used.
        picture: The deinterlaced frame; `source` itself if it was not deinterlaced.

    """

    source: VideoFrame
    picture: VideoFrame

    @property
    def changed(self) -> bool:
        """Whether the frame was deinterlaced."""
        return self.picture is not self.source


class Deinterlacer:
    """Pass frames through bwdif, from the first interlaced frame on.

    The filter uses the previous and the next frame, so its output is delayed by one frame; it is
    flushed at the end and where size or pixel format change. Each picture is paired with its source
    frame, so the number of frames and their times are those of the source.

    Args:
        mode: "auto" deinterlaces frames flagged as interlaced, "on" all, "off" none.

    """

    def __init__(self, mode: Deinterlacing) -> None:
        self._mode = mode
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None
        self._queued: deque[VideoFrame] = deque()
        self._refused: set[tuple[int, int, str]] = set()

    def process(self, frames: Iterator[VideoFrame]) -> Iterator[Deinterlaced]:
        """Yield one pair for each frame, in order."""
        for frame in frames:
            shape = (frame.width, frame.height, frame.format.name)
            if self._graph is not None and shape != self._shape:
                yield from self._flush()
            if self._graph is None and self._needs_filter(frame) and shape not in self._refused:
                self._open(shape)
            if self._graph is None:
                yield Deinterlaced(frame, frame)
                continue
            self._queued.append(frame)
            try:
                self._graph.vpush(frame)
            except (av.FFmpegError, ValueError):
                self._refused.add(shape)
                yield from self._flush()
                continue
            yield from self._pull()
        yield from self._flush()

    def _needs_filter(self, frame: VideoFrame) -> bool:
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

    def _pull(self) -> Iterator[Deinterlaced]:
        """Yield the frames that the filter has finished."""
        while self._graph is not None:
            try:
                picture = self._graph.vpull()
            except (BlockingIOError, EOFError):
                return
            source = self._queued.popleft()
            done = self._mode == "on" or source.interlaced_frame
            yield Deinterlaced(source, picture if done else source)

    def _flush(self) -> Iterator[Deinterlaced]:
        """Flush and close the filter; a frame that it did not return is passed on unchanged."""
        if self._graph is not None:
            try:
                self._graph.vpush(None)
            except (av.FFmpegError, ValueError):
                self._graph = None
            yield from self._pull()
        self._graph = self._shape = None
        while self._queued:
            source = self._queued.popleft()
            yield Deinterlaced(source, source)
