"""Reading any input as a run of upright RGB frames with exact times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from PIL import Image as Pillow

from jdsr_cli.errors import MediaError, UsageError
from jdsr_cli.media.frames import Frame
from jdsr_cli.media.info import MediaInfo
from jdsr_cli.media.opening import check_file
from jdsr_cli.media.pictures import (
    animation_frames,
    describe,
    kind_of,
    open_picture,
    picture_count,
    pixels,
    read_by_pyav,
)
from jdsr_cli.media.video import VideoSource


@dataclass(frozen=True)
class ReadReport:
    """What became of a file that was read.

    Attributes:
        frames: Frames delivered.
        corrupt: Frames delivered though the decoder marked them as damaged.
        skipped: Packets that could not be decoded at all.
        warnings: One sentence for each thing that a person should know, empty if all was well.

    """

    frames: int
    corrupt: int
    skipped: int
    warnings: tuple[str, ...]


class _Source(Protocol):
    info: MediaInfo
    corrupt: int
    skipped: int

    def frames(self) -> Iterator[Frame]: ...

    def warnings(self) -> list[str]: ...

    def close(self) -> None: ...


class _PictureSource:
    """A still, or an animation that Pillow decodes."""

    corrupt = 0
    skipped = 0

    def __init__(self, file: Path, picture: Pillow.Image) -> None:
        self.info = describe(file, picture)
        self._picture = picture
        self._warnings: list[str] = []
        try:
            self._first = pixels(picture, file)
        except MediaError:
            picture.close()
            raise
        if self.info.kind == "image" and picture.format == "TIFF" and picture_count(picture) > 1:
            self._warnings.append(
                f"only the first of {picture_count(picture)} pages of the TIFF was read"
            )

    def frames(self) -> Iterator[Frame]:
        if self.info.kind == "image":
            yield Frame(0, 0, self.info.time_base, self._first)
            return
        try:
            yield from animation_frames(self._picture, self.info.path)
        except MediaError as exc:
            self._warnings.append(exc.what)

    def warnings(self) -> list[str]:
        return self._warnings

    def close(self) -> None:
        self._picture.close()


class Reader:
    """Iterator over the frames of one input; a context manager that closes it.

    Memory does not grow with the length of the input: one frame is held beside the decoder's
    own. A file that is damaged or cut off delivers all that can be decoded, then ends; `report`
    tells what was amiss.

    Attributes:
        info: What the file says about itself.

    """

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._frames = source.frames()
        self._count = 0
        self.info = source.info

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        frame = next(self._frames)
        self._count += 1
        return frame

    @property
    def report(self) -> ReadReport:
        """What has been read so far; complete once the iteration has ended."""
        source = self._source
        return ReadReport(self._count, source.corrupt, source.skipped, tuple(source.warnings()))

    def close(self) -> None:
        """Close the file; reading further is not possible."""
        self._frames = iter(())
        self._source.close()


def open_reader(path: str | Path, *, frame_rate: Fraction | None = None) -> Reader:
    """Open a video, animation or still picture for reading.

    Args:
        path: The file; what it is shows in its content, not its name.
        frame_rate: Frames per second of a file that holds no timestamps (raw .h264), where its
            own guess is wrong. Files with timestamps ignore it.

    Returns:
        A reader whose first frame is known to decode.

    Raises:
        InputMissingError: Nothing is there.
        InputUnreadableError: It is a folder, or may not be read.
        MediaError: It is empty, cut off before its index, no media, or of an unknown codec.
        UsageError: `frame_rate` is not positive.

    """
    if frame_rate is not None and frame_rate <= 0:
        raise UsageError(f"a frame rate of {frame_rate} cannot be", hint="Give frames per second.")
    file = check_file(path)
    picture = open_picture(file)
    if picture is None:
        return Reader(VideoSource(file, frame_rate))
    if kind_of(picture) == "animation" and read_by_pyav(picture):
        count = picture_count(picture)
        picture.close()
        return Reader(VideoSource(file, frame_rate, animation_frames=count))
    return Reader(_PictureSource(file, picture))


def probe(path: str | Path) -> MediaInfo:
    """Return what a media file says about itself; its first frame is decoded, so that is proven.

    Raises:
        InputMissingError: Nothing is there.
        InputUnreadableError: It is a folder, or may not be read.
        MediaError: It is empty, cut off before its index, no media, or of an unknown codec.

    """
    with open_reader(path) as reader:
        return reader.info
