"""Frames of a reference and of restored versions of it, matched one by one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import MediaError, UsageError
from jdsr_cli.evaluation.picture_folders import check_numbers, frames_path
from jdsr_cli.faces.alignment import Alignment, crop
from jdsr_cli.faces.display import Display
from jdsr_cli.faces.resampling import chain
from jdsr_cli.media import Image, MediaInfo, Reader, ReadReport, open_reader

REFERENCE = "reference"
"""Name of the reference in tables."""
TOLERANCE = 0.01
"""Relative difference of the two scales of a restored video, such as that of a rounded size."""


@dataclass(frozen=True, eq=False)
class ComparedVideo:
    """An opened video: the reference, or a restored version of it."""

    name: str
    path: Path
    reader: Reader
    read: ReadReport
    """What was found when all of its frames were decoded once."""
    to_reference: NDArray[np.float64]
    """(2, 3) from its displayed pixels to those of the reference."""

    @property
    def frames(self) -> int:
        """Number of its frames."""
        return self.read.frames

    @property
    def damage(self) -> str | None:
        """What of it is damaged, in words; None if nothing was found."""
        faults = (
            (self.read.corrupt, "frames are damaged"),
            (self.read.skipped, "packets cannot be decoded"),
        )
        return ", ".join(f"{count} {what}" for count, what in faults if count) or None

    @property
    def info(self) -> MediaInfo:
        """Its header."""
        return self.reader.info

    @property
    def display(self) -> Display:
        """How its stored pixels are displayed."""
        return Display.of(self.info.sample_aspect_ratio)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in displayed pixels."""
        return self.display.size_of(self.info.width, self.info.height)

    def cut(self, image: Image, alignment: Alignment) -> NDArray[np.uint8]:
        """Return an aligned face of a frame, RGB uint8 (128, 128, 3), resampled once.

        Args:
            image: A frame of this video, as it is stored.
            alignment: From displayed pixels of the reference to the template.

        """
        own = Alignment(chain(alignment.matrix, self.to_reference))
        return crop(image, self.display.stored_alignment(own))


@dataclass(frozen=True, eq=False)
class MatchedFrame:
    """A frame of the reference, and the same one of each restored video."""

    index: int
    time: Fraction
    """Seconds after the first frame."""
    images: Sequence[Image]
    """That of the reference first."""


class MatchedVideos:
    """The reference and restored versions of it; a context manager that closes them.

    Args:
        reference: A video, or a folder of numbered pictures.
        restored: Names and paths of restored versions, likewise.

    Raises:
        InputError: A file is missing or cannot be read; also a single picture of a sequence.
        UsageError: A restored video has another number of frames or another shape, two of them have
            the same name, or a folder is not a sequence, or lacks a number.

    """

    def __init__(self, reference: Path, restored: Sequence[tuple[str, Path]]) -> None:
        names = [REFERENCE, *(name for name, _ in restored)]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(
                    f"{name} is given twice", where="--video", hint="Give every video its own name"
                )
        paths = [reference, *(path for _, path in restored)]
        check_numbers([frames_path(path) for path in paths])
        reports = [_read_through(frames_path(path)) for path in paths]
        for path, report in zip(paths, reports, strict=True):
            if report.frames != reports[0].frames:
                raise UsageError(
                    f"has {report.frames} frames, and the reference {reports[0].frames}",
                    where=path, hint="Give a video with one frame for each of the reference",
                )  # fmt: skip
        self._open = ExitStack()
        self.videos: list[ComparedVideo] = []
        try:
            for name, path, report in zip(names, paths, reports, strict=True):
                reader = self._open.enter_context(open_reader(frames_path(path)))
                first = self.videos[0] if self.videos else None
                scale = _map_between(reader, path, first)
                self.videos.append(ComparedVideo(name, path, reader, report, scale))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> MatchedVideos:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all videos."""
        self._open.close()

    @property
    def reference(self) -> ComparedVideo:
        """The reference."""
        return self.videos[0]

    def __iter__(self) -> Iterator[MatchedFrame]:
        """Yield the frames in order, once.

        Raises:
            UsageError: A frame of a restored video is not at the time of that of the reference.

        """
        readers = [video.reader for video in self.videos]
        starts: list[Fraction] = []
        before = Fraction(0)
        for index, frames in enumerate(zip(*readers, strict=True)):
            starts = starts or [frame.time for frame in frames]
            times = [frame.time - start for frame, start in zip(frames, starts, strict=True)]
            self._check_times(index, times, times[0] - before)
            before = times[0]
            yield MatchedFrame(index, times[0], [frame.image for frame in frames])

    def _check_times(self, index: int, times: Sequence[Fraction], step: Fraction) -> None:
        """Check that each frame is nearer to that of the reference than to the one before."""
        if not self.reference.info.timestamps:
            return
        for video, time in zip(self.videos, times, strict=True):
            if video.info.timestamps and 2 * abs(time - times[0]) > step:
                raise UsageError(
                    f"frame {index} is at {float(time):.3f} s, that of the reference at "
                    f"{float(times[0]):.3f} s",
                    where=video.path,
                    hint="Frames must correspond. If only the times are wrong, give the frames as "
                    "a folder of pictures",
                )


def _read_through(path: Path) -> ReadReport:
    """Decode all frames and return what was found.

    Raises:
        MediaError: A picture of a sequence cannot be read.

    """
    with open_reader(path) as reader:
        reader.skip(sys.maxsize)
        report = reader.report
    if report.left_out:
        others = len(report.left_out) - 1
        raise MediaError(
            "the picture cannot be read" + (f", nor {others} others" if others else ""),
            where=report.left_out[0],
            hint="Write it again: later frames would be compared with those before them",
        )
    return report


def _map_between(
    reader: Reader, path: Path, reference: ComparedVideo | None
) -> NDArray[np.float64]:
    """Return (2, 3) from displayed pixels of a video to those of the reference."""
    if reference is None:
        return np.eye(2, 3)
    info = reader.info
    size = Display.of(info.sample_aspect_ratio).size_of(info.width, info.height)
    across, down = (own / given for own, given in zip(size, reference.size, strict=True))
    if abs(across / down - 1.0) > TOLERANCE:
        raise UsageError(
            f"is displayed in {size[0]}x{size[1]} pixels, and the reference in "
            f"{reference.size[0]}x{reference.size[1]}: it has another shape",
            where=path, hint="Give the whole frames, neither cut nor stretched",
        )  # fmt: skip
    shift_x, shift_y = (0.5 / scale - 0.5 for scale in (across, down))
    return np.array([[1.0 / across, 0.0, shift_x], [0.0, 1.0 / down, shift_y]])
