"""Writing a video that keeps the times, sound, shape and colours of its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from av.container.output import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from jdsr_cli.atomic import create_partial, output_error, publish
from jdsr_cli.errors import OutputError, UsageError
from jdsr_cli.media.colour import (
    PRIMARIES,
    TRANSFERS,
    from_rgb,
    matrix_in_use,
    tag_code,
)
from jdsr_cli.media.encoding import (
    CRF_DEFAULT,
    choose_container,
    choose_encoding,
    final_name,
    movie_timescale,
)
from jdsr_cli.media.frames import Image
from jdsr_cli.media.info import MediaInfo
from jdsr_cli.media.tracks import TrackCopier
from jdsr_cli.media.verify import TimeTally, verify

_LEADING_GAP_LIMIT = Fraction(10)
"""Seconds of nothing before the first frame above which times are moved to start near 0.
A recorder's stream may start at the time of day; a player would wait for hours."""

_NOT_METADATA = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
"""Keys that describe the old container, not what it shows."""

_PLAIN_METADATA = frozenset(
    ("title", "artist", "album", "comment", "copyright", "creation_time", "date", "description",
     "genre", "grouping", "lyrics", "show", "synopsis", "track")
)  # fmt: skip
"""Keys that MP4 has a box for; others need QuickTime's free-form keys, which repeat the rest."""


class VideoWriter:
    """Writes frames with exact times, and copies the sound of the source beside them.

    Times are kept as rationals: a frame written at `pts` is read back at exactly
    `pts * source.time_base` seconds (`time_offset` tells the one exception). Pixel aspect,
    colour tags, range and metadata of the source are kept; the matrix is always tagged. A width
    or height that the codec cannot store (odd, with subsampled colour) is padded by repeating
    the last column or row. The file is written under a temporary name in the same folder; on a
    clean exit of the context it is re-opened, its frames and times compared with what was
    written, and renamed; on an exception it is removed.

    Args:
        path: The output; its suffix follows the container, see `VideoWriter.path`.
        source: What the frames come from, whose `time_base` the times are in.
        width: Width of the frames in pixels.
        height: Height of the frames in pixels.
        codec: "h264", "hevc", "ffv1" (lossless) or "source" (the input's, where possible).
        crf: Quality of a lossy codec, 0 (best) to 51.
        metadata: More metadata to store, before that of the source.

    Attributes:
        path: The final name: .mp4, or .mov where only QuickTime can hold the sound as it is.
        frames: Frames written so far.
        time_offset: Seconds added to every time; not 0 only where the source starts before 0
            or more than ten seconds after.

    Raises:
        OutputError: The place is missing, full, read-only, or the source itself.
        UsageError: An unknown codec, or a size or quality out of range.
        MediaError: The source can no longer be opened to copy its sound.

    """

    def __init__(
        self,
        path: str | Path,
        source: MediaInfo,
        width: int,
        height: int,
        *,
        codec: str = "h264",
        crf: int = CRF_DEFAULT,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if width < 2 or height < 2:
            raise UsageError(f"a video of {width}x{height} pixels cannot be written", where=path)
        self._source = source
        self._size = (width, height)
        self._matrix = matrix_in_use(source)
        self._encoding, self._notes = choose_encoding(codec, source, crf)
        self._tracks = TrackCopier(source.path) if source.kind == "video" else None
        self._output: OutputContainer | None = None
        self._partial: Path | None = None
        self._pending: tuple[VideoFrame, int] | None = None
        self._durations: dict[int, int] = {}
        self._step: int | None = None
        self._first_pts = 0
        self._tally = TimeTally()
        self._shift = 0
        self.frames = 0
        try:
            audio = self._tracks.audio_streams if self._tracks else []
            names = [stream.codec_context.name for stream in audio]
            self._container = choose_container(self._encoding, names)
            self.path = final_name(Path(path), self._container)
            self._refuse_source()
            self._partial = create_partial(self.path)
            rates = [stream.codec_context.sample_rate for stream in audio]
            self._output, self._stream = self._open(self._partial, rates, metadata or {})
        except BaseException:
            self._abandon()
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
            self._abandon()

    @property
    def time_offset(self) -> Fraction:
        """Seconds that were added to every time, exact."""
        return self._shift * self._source.time_base

    @property
    def warnings(self) -> list[str]:
        """One sentence for each thing that could not be kept; complete after the exit."""
        return [*self._notes, *(self._tracks.warnings() if self._tracks else [])]

    def write(self, image: Image, pts: int) -> None:
        """Write the next frame.

        Args:
            image: uint8 RGB, shape (height, width, 3).
            pts: Time in units of `source.time_base`; larger than that of the frame before.

        Raises:
            OutputError: The disk is full, or the file cannot be written.
            UsageError: Another size or type, or a time that does not increase.

        """
        width, height = self._size
        if image.dtype != np.uint8 or image.shape != (height, width, 3):
            raise UsageError(
                f"a frame of {image.dtype} {image.shape} was given",
                where=self.path,
                hint=f"uint8 of shape {(height, width, 3)} is needed.",
            )
        if self._pending is None:
            self._begin(pts)
        else:
            self._step = pts - self._pending[1]
            if self._step <= 0:
                raise UsageError(
                    f"time {pts} follows {self._pending[1]}",
                    where=self.path,
                    hint="Times have to increase from frame to frame.",
                )
            self._encode(*self._pending, self._step)
        self._pending = (self._converted(image), pts)

    def _refuse_source(self) -> None:
        try:
            same = self.path.samefile(self._source.path)
        except OSError:
            return
        if same:
            raise OutputError(
                "the output would overwrite its input",
                where=self.path,
                hint="Choose another --out.",
            )

    def _open(
        self, partial: Path, sample_rates: list[int], metadata: Mapping[str, str]
    ) -> tuple[OutputContainer, VideoStream]:
        source, encoding = self._source, self._encoding
        texts = {**self._tracks.metadata, **metadata} if self._tracks else dict(metadata)
        texts = {key: text for key, text in texts.items() if key not in _NOT_METADATA}
        options = {"movie_timescale": str(movie_timescale(source.time_base, sample_rates))}
        if not _PLAIN_METADATA.issuperset(texts):
            options["movflags"] = "+use_metadata_tags"
        try:
            output = av.open(
                str(partial.absolute()),
                mode="w",
                format=self._container,
                container_options=options,
            )
        except (av.FFmpegError, OSError) as exc:
            raise output_error(exc, self.path) from exc
        width, height = self._size
        stream = cast(
            VideoStream, output.add_stream(encoding.encoder, options=dict(encoding.options))
        )
        context = stream.codec_context
        context.width = width + (width % 2 if encoding.subsampled else 0)
        context.height = height + (height % 2 if encoding.subsampled else 0)
        context.pix_fmt = encoding.pixel_format
        context.framerate = source.frame_rate or Fraction(25)
        context.time_base = source.time_base
        stream.time_base = source.time_base
        context.sample_aspect_ratio = source.sample_aspect_ratio
        context.color_range = 2 if encoding.full_range else 1
        context.colorspace = 0 if encoding.codec == "ffv1" else self._matrix
        context.color_primaries = tag_code(PRIMARIES, source.colour_primaries)
        context.color_trc = tag_code(TRANSFERS, source.colour_transfer)
        if self._tracks is not None:
            self._tracks.attach(output)
        output.metadata.update(texts)
        return output, stream

    def _begin(self, pts: int) -> None:
        time_base = self._source.time_base
        self._first_pts = pts
        if pts < 0:
            self._shift = -pts
        elif pts * time_base > _LEADING_GAP_LIMIT:
            start = self._tracks.start if self._tracks else pts * time_base
            self._shift = -min(pts, round(start / time_base))
        if self._shift:
            self._notes.append(f"times were moved by {float(self.time_offset):.3f} s")
            if self._tracks is not None:
                self._tracks.shift_by(self.time_offset)

    def _converted(self, image: Image) -> VideoFrame:
        context = self._stream.codec_context
        return from_rgb(
            _padded(image, context.width, context.height),
            self._encoding.pixel_format,
            self._matrix,
            full_range=self._encoding.full_range,
        )

    def _encode(self, frame: VideoFrame, pts: int, duration: int) -> None:
        pts += self._shift
        time = pts * self._source.time_base
        frame.pts = pts
        frame.time_base = self._source.time_base
        self._durations[pts] = duration
        self._tally.add(time)
        try:
            self._mux(self._stream.encode(frame))
            if self._tracks is not None and self._output is not None:
                self._tracks.copy_until(self._output, time)
        except (av.FFmpegError, OSError) as exc:
            raise output_error(exc, self.path) from exc
        self.frames += 1

    def _mux(self, packets: Sequence[Packet[VideoStream]]) -> None:
        assert self._output is not None
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, 0)
            packet.stream = self._stream
            self._output.mux_one(packet)

    def _finish(self) -> None:
        if self._pending is None:
            raise OutputError("no frames were written", where=self.path, hint="Check the input.")
        frame, pts = self._pending
        self._encode(frame, pts, self._last_duration(pts))
        output, partial = self._output, self._partial
        assert output is not None
        assert partial is not None
        try:
            self._mux(self._stream.encode(None))
            if self._tracks is not None:
                self._tracks.copy_until(output, None)
            self._output = None
            output.close()
        except (av.FFmpegError, OSError) as exc:
            raise output_error(exc, self.path) from exc
        verify(partial, self._tally, self.path)
        publish(partial, self.path)

    def _last_duration(self, pts: int) -> int:
        """Return how long the last frame is shown, in ticks."""
        source = self._source
        nominal = self._step or max(1, round(1 / ((source.frame_rate or 25) * source.time_base)))
        if source.duration is None or self.frames + 1 != source.frames_promised:
            return nominal
        end = self._first_pts + round(source.duration / source.time_base)
        return end - pts if end > pts else nominal

    def _abandon(self) -> None:
        """Let go of everything; what was not published is removed."""
        if self._output is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self._output.close()
            self._output = None
        if self._tracks is not None:
            self._tracks.close()
        if self._partial is not None:
            with suppress(OSError):
                self._partial.unlink(missing_ok=True)


def _padded(image: Image, width: int, height: int) -> Image:
    """Repeat the last column and row until the picture is `width` by `height`."""
    more = (height - image.shape[0], width - image.shape[1])
    return np.pad(image, ((0, more[0]), (0, more[1]), (0, 0)), "edge") if any(more) else image
