"""Write a sequence of frames as a segment: a separate file that is joined with others later.

A segment is a NUT file with video only. NUT keeps any rational time base, any gap and any
reordering, can hold all codecs written here, can be read without its index, and is known to be
truncated if the index at its end is missing. It keeps neither colour tags nor, for some codecs, the
pixel aspect; both are taken from the source when segments are joined. Times are relative to the
first frame, since NUT has no negative times; the time of that frame is in the metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
import numpy as np
from av.container.output import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from jdsr_cli.atomic import flush_file, flush_folder, output_error
from jdsr_cli.errors import OutputError, UsageError
from jdsr_cli.media.deep_frames import from_deep_rgb
from jdsr_cli.media.frames import DeepImage, Image, MediaInfo, from_rgb, matrix_in_use
from jdsr_cli.media.writing.formats import (
    MIN_SIDES,
    choose_encoding,
    encoder_threads,
    nominal_rate,
    stored_full_range,
    tag_picture,
)
from jdsr_cli.media.writing.scheduling import unchanged_scheduling
from jdsr_cli.media.writing.segment_files import FIRST_PTS, SPAN, TIME_BASE, open_segment
from jdsr_cli.media.writing.verify import TimeTally

SEGMENT_SUFFIX = ".nut"
"""Usual suffix of a segment; any other works as well."""


class SegmentWriter:
    """Write frames with exact times as one segment of a video, with a separate encoder.

    A width or height that the codec cannot store (odd, with subsampled colour) is padded by
    repeating the last column or row. The same frames always give the same bytes, except from the
    encoder of a GPU. When the context ends without an exception, the file is complete and
    synchronised to disk, and it was read back to check that it contains every frame at its time;
    after an exception the file is removed.

    The encoder receives the frames at a constant rate, so that the quality does not depend on the
    duration of display; their times are set on its packets.

    Args:
        path: The file; an existing file is overwritten.
        source: Header of the input that the frames come from, with the `time_base` of the times; if
            they were converted to SDR, `sdr_header` of it. Its colour tags are written.
        width: Width of the frames in pixels.
        height: Height of the frames in pixels.
        codec: "auto" (h264, or hevc for more than 8 bits), "h264", "hevc", "av1", "ffv1"
            (lossless), "source" (that of the input if possible), or "h264_nvenc", "hevc_nvenc",
            "av1_nvenc" for the encoder of an NVIDIA GPU.
        crf: Quality of a lossy codec, 0 (best) to 51, for AV1 to 63; None is visually lossless.
        deep: Whether the frames are those of `Frame.deep`, with 16 bits; if not, they and the video
            have 8.

    Attributes:
        path: The file.
        frames: Number of frames written so far.
        codec: Name of the codec that is written.
        warnings: One sentence for each option that could not be applied.

    Raises:
        OutputError: The folder is missing, full or read-only.
        UsageError: The codec is unknown, or a size or the quality is out of range.

    """

    def __init__(
        self,
        path: str | Path,
        source: MediaInfo,
        width: int,
        height: int,
        *,
        codec: str = "auto",
        crf: int | None = None,
        deep: bool = False,
    ) -> None:
        self.path = Path(path)
        if width < 2 or height < 2:
            raise UsageError(f"a video of {width}x{height} pixels cannot be written", where=path)
        self._source = source = source if deep else replace(source, deep=False)
        self._deep = deep
        self._size = (width, height)
        self._encoding, self.warnings = choose_encoding(codec, source, crf)
        self.codec = self._encoding.codec
        minimum = MIN_SIDES.get(self._encoding.encoder, 0)
        if min(width, height) < minimum:
            raise UsageError(
                f"a video of {width}x{height} pixels cannot be written as {self.codec}",
                where=path,
                hint=f"Its sides must have {minimum} pixels or more; choose h264.",
            )
        self._matrix = matrix_in_use(source)
        self._full_range = stored_full_range(self.codec, source)
        self._times: dict[int, int] = {}
        self._packets = 0
        self._first = 0
        self._last: int | None = None
        self._tally = TimeTally()
        self._output: OutputContainer | None = None
        self._done = False
        self.frames = 0
        try:
            with self.path.open("wb"):
                pass
        except (OSError, ValueError) as exc:
            raise output_error(exc, self.path) from exc
        try:
            self._output, self._stream = self._open()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._close()

    def write(self, image: Image | DeepImage, pts: int) -> None:
        """Write the next frame.

        Args:
            image: RGB, shape (height, width, 3), uint8, or uint16 if they are `deep`.
            pts: Time in units of `source.time_base`; greater than that of the previous frame.

        Raises:
            OutputError: The disk is full, or the file cannot be written.
            UsageError: The frame has another size or type, or its time does not increase.

        """
        width, height = self._size
        kind = np.dtype(np.uint16 if self._deep else np.uint8)
        if image.dtype != kind or image.shape != (height, width, 3):
            raise UsageError(
                f"a frame of {image.dtype} {image.shape} was given",
                where=self.path,
                hint=f"{kind} of shape {(height, width, 3)} is required.",
            )
        if self._output is None:
            raise UsageError("a frame was given after the end", where=self.path)
        if self._last is None:
            self._first = pts
            self._output.metadata.update(
                {FIRST_PTS: str(pts), TIME_BASE: str(self._source.time_base)}
            )
        elif pts <= self._last:
            raise UsageError(
                f"time {pts} follows {self._last}",
                where=self.path,
                hint="Times must increase from frame to frame.",
            )
        self._last = pts
        self._encode(image, pts)

    def _open(self) -> tuple[OutputContainer, VideoStream]:
        encoding, (width, height) = self._encoding, self._size
        try:
            output = av.open(
                str(self.path.absolute()),
                mode="w",
                format="nut",
                container_options={"avoid_negative_ts": "disabled"},
            )
            stream = cast(
                VideoStream, output.add_stream(encoding.encoder, options=dict(encoding.options))
            )
        except (av.FFmpegError, OSError) as exc:
            raise output_error(exc, self.path) from exc
        context = stream.codec_context
        threads = encoder_threads(encoding)
        if threads is not None:
            # With slice threads, PyAV's default, the lookahead is a race and bytes differ by run.
            context.thread_type, context.thread_count = "FRAME", threads
        context.width = width + (width % 2 if encoding.subsampled else 0)
        context.height = height + (height % 2 if encoding.subsampled else 0)
        context.pix_fmt = encoding.pixel_format
        context.framerate = nominal_rate(self._source)
        context.time_base = 1 / nominal_rate(self._source)
        stream.time_base = self._source.time_base
        tag_picture(context, encoding.codec, self._source)
        try:
            with unchanged_scheduling():
                context.open()
        except (av.FFmpegError, OSError) as exc:
            output.close()
            raise output_error(exc, self.path) from exc
        return output, stream

    def _encode(self, image: Image | DeepImage, pts: int) -> None:
        context = self._stream.codec_context
        if self._deep and self._encoding.bits == 8:
            image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
        padded = _padded(image, context.width, context.height)
        convert = from_rgb if padded.dtype == np.uint8 else from_deep_rgb
        frame = convert(
            padded, self._encoding.pixel_format, self._matrix, full_range=self._full_range
        )
        frame.pts, frame.time_base = self.frames, context.time_base
        self._times[self.frames] = pts - self._first
        self._tally.add(pts * self._source.time_base)
        self._mux(self._encode_frame(frame))
        self.frames += 1

    def _encode_frame(self, frame: VideoFrame | None) -> Sequence[Packet[VideoStream]]:
        try:
            return self._stream.encode(frame)
        except (av.FFmpegError, OSError) as exc:
            raise output_error(exc, self.path) from exc

    def _mux(self, packets: Sequence[Packet[VideoStream]]) -> None:
        """Set the times of the frames on packets that are numbered by frame, and write them.

        Decoding times are not those of the encoder: x265 computes them from memory that it has not
        initialised if a video has fewer than three frames. They are made anew when segments are
        joined; here they only have to increase and to precede presentation.
        """
        assert self._output is not None
        for packet in packets:
            number, decoded = packet.pts, self._packets - SPAN
            assert number is not None
            packet.pts = self._times[number]
            packet.dts = self._times[decoded] if decoded >= 0 else decoded
            packet.time_base = self._source.time_base
            packet.stream = self._stream
            self._times.pop(decoded - 1, None)
            self._packets += 1
            try:
                self._output.mux_one(packet)
            except (av.FFmpegError, OSError) as exc:
                raise output_error(exc, self.path) from exc

    def _finish(self) -> None:
        if self._last is None or self._output is None:
            raise OutputError("no frames were written", where=self.path, hint="Check the input.")
        self._mux(self._encode_frame(None))
        output, self._output = self._output, None
        try:
            output.close()
            flush_file(self.path)
            flush_folder(self.path.parent)
        except (av.FFmpegError, OSError) as exc:
            raise output_error(exc, self.path) from exc
        self._check()
        self._done = True

    def _check(self) -> None:
        """Read the file back: the system may not have reported a write error."""
        tally = TimeTally()
        with open_segment(self.path) as segment:
            for pts, _ in segment.packets():
                tally.add(pts * segment.header.time_base)
        tally.compare(self._tally, self.path)

    def _close(self) -> None:
        """Close the output, and remove the file if it is not complete."""
        if self._output is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self._output.close()
            self._output = None
        if not self._done:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)


def _padded(image: Image | DeepImage, width: int, height: int) -> NDArray[Any]:
    """Repeat the last column and row until the picture is `width` by `height`."""
    padding = (height - image.shape[0], width - image.shape[1])
    if not any(padding):
        return image
    return np.asarray(np.pad(image, ((0, padding[0]), (0, padding[1]), (0, 0)), "edge"))
