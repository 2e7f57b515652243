"""Writing a video at one go: one segment, joined with the sound of its source."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from jdsr_cli.atomic import partial_name
from jdsr_cli.media.encoding import choose_encoding
from jdsr_cli.media.frames import Image
from jdsr_cli.media.info import MediaInfo
from jdsr_cli.media.joining import JoinedVideo, join_segments, plan_output
from jdsr_cli.media.segments import SEGMENT_SUFFIX, SegmentWriter


class VideoWriter:
    """Writes frames with exact times, and copies the sound of the source beside them.

    Times are kept as rationals: a frame written at `pts` is read back at exactly
    `pts * source.time_base` seconds (`time_offset` tells the one exception). Pixel aspect,
    colour tags, range and metadata of the source are kept; the matrix is always tagged. A width
    or height that the codec cannot store (odd, with subsampled colour) is padded by repeating
    the last column or row. Frames go into a hidden file in the same folder; on a clean exit of
    the context it is joined with the sound, the result is re-opened, its frames and times
    compared with what was written, and renamed; on an exception nothing is left.

    Args:
        path: The output; its suffix follows the container, see `VideoWriter.path`.
        source: What the frames come from, whose `time_base` the times are in.
        width: Width of the frames in pixels.
        height: Height of the frames in pixels.
        codec: "h264", "hevc", "av1", "ffv1" (lossless) or "source" (the input's, where possible).
        crf: Quality of a lossy codec, 0 (best) to 51, for AV1 to 63; None looks like the original.
        metadata: More metadata to store, before that of the source.

    Attributes:
        path: The final name: .mp4, .mov where only QuickTime can hold the sound as it is, or
            .mkv where only Matroska can hold the subtitles.

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
        crf: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self._source = source
        self._metadata = metadata
        self._joined: JoinedVideo | None = None
        self.path = plan_output(path, source, choose_encoding(codec, source, crf)[0].codec)
        hidden = partial_name(self.path).with_suffix(SEGMENT_SUFFIX)
        self._segment = SegmentWriter(hidden, source, width, height, codec=codec, crf=crf)

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

    @property
    def frames(self) -> int:
        """Frames written so far."""
        return self._segment.frames

    @property
    def time_offset(self) -> Fraction:
        """Seconds that were added to every time, exact; known after the exit.

        Not 0 only where the source starts before 0 or more than ten seconds after.
        """
        return self._joined.time_offset if self._joined else Fraction(0)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each thing that could not be kept; complete after the exit."""
        return [*self._segment.warnings, *(self._joined.warnings if self._joined else ())]

    def write(self, image: Image, pts: int) -> None:
        """Write the next frame; see `SegmentWriter.write`."""
        self._segment.write(image, pts)

    def _remove_segment(self) -> None:
        with suppress(OSError):
            self._segment.path.unlink(missing_ok=True)
