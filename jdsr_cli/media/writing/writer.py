"""Write whole videos: frames, joined with the sound of the source at the end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from jdsr_cli.atomic import partial_name
from jdsr_cli.media.frames import DeepImage, Image, MediaInfo
from jdsr_cli.media.writing.formats import choose_encoding
from jdsr_cli.media.writing.joining import JoinedVideo, join_segments, plan_output
from jdsr_cli.media.writing.segments import SEGMENT_SUFFIX, SegmentWriter


class VideoWriter:
    """Write frames with exact times, and copy the sound of the source.

    Times are kept as rationals: a frame written at `pts` is read back at exactly
    `pts * source.time_base` seconds (except for `time_offset`). Pixel aspect, colour tags, range
    and metadata of the source are kept; the matrix is always tagged. A width or height that the
    codec cannot store (odd, with subsampled colour) is padded by repeating the last column or row.
    Sound is that of the first recording if the file has several; see `join_segments`.
    Frames are written to a hidden file in the same folder. When the context ends without an
    exception, it is joined with the sound, and the result is read back, compared with what was
    written and renamed; after an exception all files are removed.

    Args:
        path: The output; its suffix follows the container, see `VideoWriter.path`.
        source: Header of the input that the frames come from, with the `time_base` of the times.
        width: Width of the frames in pixels.
        height: Height of the frames in pixels.
        codec: "auto", "h264", "hevc", "av1", "ffv1" (lossless) or "source" (that of the input if
            possible).
        crf: Quality of a lossy codec, 0 (best) to 51, for AV1 to 63; None is visually lossless.
        metadata: Additional metadata, with precedence over that of the source.
        deep: As for `SegmentWriter`.

    Attributes:
        path: The final name: .mp4, .mov if only QuickTime can hold the sound as it is, or .mkv if
            only Matroska can hold the subtitles.

    Raises:
        OutputError: The folder is missing, full or read-only, or the path is the source itself.
        UsageError: The codec is unknown, or a size or the quality is out of range.
        MediaError: The source can no longer be opened to copy its sound.

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
        metadata: Mapping[str, str] | None = None,
        deep: bool = False,
    ) -> None:
        self._source = source = source if deep else replace(source, deep=False)
        self._metadata = metadata
        self._joined: JoinedVideo | None = None
        self.path = plan_output(path, source, choose_encoding(codec, source, crf)[0].codec)
        hidden = partial_name(self.path).with_suffix(SEGMENT_SUFFIX)
        self._segment = SegmentWriter(
            hidden, source, width, height, codec=codec, crf=crf, deep=deep
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with ExitStack() as stack:
            stack.callback(self._remove_segment)
            self._segment.__exit__(kind, value, trace)
            if kind is None:
                self._joined = join_segments(
                    self.path, [self._segment.path], self._source, metadata=self._metadata
                )
                self.path = self._joined.path

    @property
    def frames(self) -> int:
        """Number of frames written so far."""
        return self._segment.frames

    @property
    def time_offset(self) -> Fraction:
        """Seconds that were added to every time, exact; known when the context has ended.

        It differs from 0 only if the source starts before 0 or more than ten seconds after 0.
        """
        return self._joined.time_offset if self._joined else Fraction(0)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each property that was not preserved; complete when the context ends."""
        return [*self._segment.warnings, *(self._joined.warnings if self._joined else ())]

    def write(self, image: Image | DeepImage, pts: int) -> None:
        """Write the next frame; see `SegmentWriter.write`."""
        self._segment.write(image, pts)

    def _remove_segment(self) -> None:
        with suppress(OSError):
            self._segment.path.unlink(missing_ok=True)
