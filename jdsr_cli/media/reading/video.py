"""Read a video: decode, deinterlace, assign times and select the requested part.

Deinterlacing uses FFmpeg's bwdif ("Bob Weaver Deinterlacing Filter", T. Mundt), which blends the
cubic interpolation of w3fdif with the temporal checks of yadif: one output picture for each input
frame, at the time of that frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path

import av
from av.container.input import InputContainer
from av.filter.graph import Graph
from av.video.frame import VideoFrame

from jdsr_cli.errors import MediaError
from jdsr_cli.media.frames import (
    Image,
    MediaInfo,
    PendingFrame,
    depth_warning,
    matrix_in_use,
    resized_warning,
    to_rgb,
)
from jdsr_cli.media.geometry import fit
from jdsr_cli.media.inputs import choose_stream, open_container
from jdsr_cli.media.reading.decoding import TRIM_IGNORED, PacketDecoder, Timeline, TrimWindow
from jdsr_cli.media.reading.header import Opened, read_header
from jdsr_cli.media.reading.pictures import PictureCount
from jdsr_cli.media.reading.salvage import SalvagedCopy
from jdsr_cli.settings import Deinterlacing, ReadSettings

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


_PICTURE_PER_PACKET = frozenset({"h264", "hevc", "mpeg4", "mjpeg"})
"""Codecs in which every packet holds a picture to be shown."""

_DECODING_TIMES_ONLY = frozenset({"avi"})
"""Containers without times of display; those that the decoder makes up are a frame late."""

_SHORTFALL_SECONDS = Fraction(1, 2)
"""A file that ends this much before the end its header promises is reported."""


@dataclass(frozen=True)
class _Timed:
    """A frame with its place in the file."""

    index: int
    pts: int
    shown: Deinterlaced


def _aspect(frame: VideoFrame) -> Fraction:
    """Return the sample aspect that the decoder gave a frame."""
    return frame.opaque if isinstance(frame.opaque, Fraction) and frame.opaque else Fraction(1)


class VideoSource:
    """The frames of a video file, or of a GIF or APNG.

    Args:
        file: A file that exists and is not empty.
        settings: What the user chose.
        animation: How many pictures it holds, where the file is an animation.
        copy: What is read in place of the file; closed with the source, but not where the
            source cannot be made.

    Raises:
        MediaError: Nothing in it can be decoded.
        UsageError: It holds fewer video streams than the one chosen.

    """

    def __init__(
        self,
        file: Path,
        settings: ReadSettings,
        *,
        animation: PictureCount | None = None,
        copy: SalvagedCopy | None = None,
    ) -> None:
        self._copy = copy
        self._settings = settings
        self._container: InputContainer = (
            open_container(file) if copy is None else open_container(copy.path, copy.demuxer)
        )
        try:
            chosen = choose_stream(self._container, file, settings.stream)
            self._decoder = PacketDecoder(self._container, chosen.stream)
            self._decoded = self._decoder.frames()
            first = next(self._decoded, None)
            if first is None:
                raise MediaError(
                    f"holds a {chosen.stream.codec_context.name} stream of which no frame can be "
                    "decoded",
                    where=file,
                    hint="Copy it again from the recorder."
                    if chosen.count == 1
                    else f"It holds {chosen.count} video streams: choose one with --stream.",
                )
            opened = Opened(file, self._container, chosen, animation)
            header = read_header(opened, first, settings.frame_rate)
        except BaseException:
            self._container.close()
            raise
        self.info: MediaInfo = header.info
        if copy is not None:
            self.info = replace(self.info, salvaged=True, salvaged_copy=copy.path)
        still = self.info.kind == "image"
        self._window = TrimWindow(ReadSettings() if still else settings)
        self._header = header
        self._first_size = (first.width, first.height)
        self._first_aspect = _aspect(first)
        self._frames = chain([first], self._decoded)
        self._timeline = Timeline(self.info.time_base, self.info.frame_rate)
        self._faults = self._first_words()
        self.corrupt = 0
        self._placed = 0
        self._resized = 0
        self._interlaced = 0
        self._deinterlaced = 0
        self._finished = False

    def _first_words(self) -> list[str]:
        info, found = self.info, []
        if self._copy is not None:
            found.append(self._copy.sentence)
        if info.streams > 1 and self._settings.stream is None:
            found.append(
                f"the file holds {info.streams} video streams; number {info.stream} is read "
                "(choose with --stream)"
            )
        found.extend(self._header.warnings)
        if info.kind == "image" and self._settings.trims:
            found.append(TRIM_IGNORED)
        if info.bit_depth > 8:
            found.append(depth_warning(info.bit_depth))
        return found

    @property
    def skipped(self) -> int:
        """Packets that could not be decoded at all."""
        return self._decoder.skipped

    def close(self) -> None:
        """Close the file, and remove the copy if there is one."""
        with suppress(ValueError):
            self._decoded.close()
        self._container.close()
        if self._copy is not None:
            self._copy.close()

    def frames(self) -> Iterator[PendingFrame]:
        """Yield every frame in the window that can be decoded, in order of time.

        Raises:
            UsageError: The window holds none.

        """
        matrix = matrix_in_use(self.info)
        for timed in self._timed():
            place = self._window.place(timed.pts * self.info.time_base)
            if place == "before":
                continue
            if place == "after":
                break
            source = timed.shown.source
            self._resized += int((source.width, source.height) != self._first_size)
            self.corrupt += int(source.is_corrupt)
            self._interlaced += int(bool(source.interlaced_frame))
            self._deinterlaced += int(timed.shown.changed)
            render = partial(self._render, timed.shown, matrix)
            yield PendingFrame(timed.index, timed.pts, self.info.time_base, render)
        else:
            self._finished = True
        self._window.check(self.info.path)

    def _timed(self) -> Iterator[_Timed]:
        mode = self._settings.deinterlace if self.info.kind == "video" else "off"
        for shown in Deinterlacer(mode).through(self._frames):
            source, index = shown.source, self._placed
            first, second = source.pts, source.dts
            if self.info.container in _DECODING_TIMES_ONLY:
                first, second = second, first
            stamp = second if first is None else first
            pts = self._timeline.place(stamp) if self.info.timestamps else index
            self._placed += 1
            yield _Timed(index, pts, shown)

    def _render(self, shown: Deinterlaced, matrix: int) -> Image:
        source, aperture = shown.source, self._header.aperture
        image = to_rgb(shown.picture, matrix, source.width, source.height)
        if (source.width, source.height) != self._first_size:
            size = self._first_size if aperture is None else (aperture.width, aperture.height)
            image = fit(image, *size, _aspect(source) / self._first_aspect)
        elif aperture is not None:
            image = aperture.cut(image)
        return self._header.orientation.apply(image)

    def warnings(self) -> list[str]:
        """Return one sentence for each thing that was amiss so far."""
        found = [*self._faults, *self._decoder.warnings(), *self._timeline.warnings()]
        found.extend(self._interlacing())
        if self._resized:
            found.append(resized_warning(self._resized))
        if self.corrupt:
            found.append(f"{self.corrupt} frames are marked as damaged by the decoder")
        if self.skipped:
            found.append(f"{self.skipped} packets could not be decoded")
        if self._finished:
            found.extend(self._shortfall())
        return found

    def _interlacing(self) -> Iterator[str]:
        if self.info.kind != "video":
            return
        if self._deinterlaced:
            yield (
                f"{self._deinterlaced} frames were deinterlaced by bwdif, one picture for each "
                f"frame ({self._interlaced} are flagged as interlaced)"
            )
        left = self._interlaced - self._deinterlaced
        if left > 0:
            yield f"{left} interlaced frames were left as they are"

    def _shortfall(self) -> Iterator[str]:
        placed, decoder = self._placed, self._decoder
        promised = self.info.frames_promised
        if promised is not None and placed < promised - decoder.discarded:
            yield f"the header promises {promised} frames, the file held {placed}"
        silent = decoder.packets - decoder.discarded - decoder.skipped - placed
        if silent > 0 and self.info.codec in _PICTURE_PER_PACKET:
            yield f"{silent} of {decoder.packets} packets gave no picture of their own"
        end, held = self._header.promised_end, decoder.end
        if end is not None and end - held > _SHORTFALL_SECONDS:
            yield f"the header promises {float(end):.2f} s, the file held {float(held):.2f} s"
