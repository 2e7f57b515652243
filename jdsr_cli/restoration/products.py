"""Where frames go: a video in segments that are joined at the end, or a still image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import MediaError
from jdsr_cli.evidence import picture_metadata, video_metadata
from jdsr_cli.media import MediaInfo, SegmentWriter, join_segments, write_image
from jdsr_cli.media.writing.writer import XMP_KEY
from jdsr_cli.restoration.journal.files import segment_file
from jdsr_cli.restoration.journal.workplace import Workplace
from jdsr_cli.restoration.pipeline.work import JoinedProduct
from jdsr_cli.settings import RestoreSettings


class VideoProduct:
    """A video with the input's times and sound; a `Product`.

    Args:
        stem: Of its file.
        workplace: Where it grows.
        info: What the input says about itself.
        size: Width and height in pixels.
        settings: Codec, quality and whether the input was trimmed.

    """

    def __init__(
        self,
        stem: str,
        workplace: Workplace,
        info: MediaInfo,
        size: tuple[int, int],
        settings: RestoreSettings,
    ) -> None:
        self._stem = stem
        self._workplace = workplace
        self._info = info
        self._size = size
        self._settings = settings
        self._writer: SegmentWriter | None = None
        self._notes: list[str] = []

    def begin(self, number: int) -> None:
        """Open segment `number`."""
        self._writer = SegmentWriter(
            self._file(number),
            self._info,
            *self._size,
            codec=self._settings.codec,
            crf=self._settings.crf,
        )
        self._writer.__enter__()

    def write(self, image: NDArray[np.uint8], pts: int) -> None:
        """Encode `image` at a time in units of the input's time base."""
        assert self._writer is not None, "no segment is open"
        self._writer.write(image, pts)

    def end(self) -> list[Path]:
        """Close the open segment; return its file."""
        assert self._writer is not None, "no segment is open"
        writer, self._writer = self._writer, None
        writer.__exit__(None, None, None)
        self._notes = list(writer.warnings)
        return [writer.path]

    def abandon(self) -> None:
        """Let go of an open segment, whose file is removed."""
        if self._writer is not None:
            fault = InterruptedError("abandoned")
            self._writer.__exit__(InterruptedError, fault, None)
            self._writer = None

    def join(self, segments: int) -> JoinedProduct:
        """Make one video of so many segments."""
        joined = join_segments(
            self._workplace.results / f"{self._stem}.mp4",
            [self._file(number) for number in range(segments)],
            self._info,
            metadata=video_metadata(),
            trimmed=self._settings.trims,
        )
        return JoinedProduct(joined.path, joined.frames, (*self._notes, *joined.warnings))

    def _file(self, number: int) -> Path:
        return segment_file(self._workplace.work, number, f".{self._stem}.nut")


class StillProduct:
    """One picture; a `Product`."""

    def __init__(self, stem: str, workplace: Workplace) -> None:
        self._path = workplace.results / f"{stem}.png"
        self._frames = 0

    def begin(self, number: int) -> None:
        """Nothing is to be opened."""

    def write(self, image: NDArray[np.uint8], pts: int) -> None:
        """Store the only picture; `MediaError` where the input holds a second one."""
        if self._frames:
            raise MediaError("a still image with more than one picture", where=self._path)
        write_image(self._path, image, picture_metadata(XMP_KEY))
        self._frames += 1

    def end(self) -> list[Path]:
        """Return no file: a still has no segments."""
        return []

    def abandon(self) -> None:
        """Nothing is open."""

    def join(self, segments: int) -> JoinedProduct:
        """Return the picture."""
        return JoinedProduct(self._path, self._frames, ())
