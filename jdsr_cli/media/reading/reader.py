"""Open any input and iterate over its upright RGB frames with exact times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Self

from jdsr_cli.errors import MediaError, TooLargeError, UsageError
from jdsr_cli.media.bounds import check_animation
from jdsr_cli.media.frames import Frame, Image, MediaInfo, PendingFrame, Source
from jdsr_cli.media.geometry import chosen_aspect
from jdsr_cli.media.inputs import check_file, is_sequence
from jdsr_cli.media.later_recordings import LaterRecording
from jdsr_cli.media.reading.joined import JoinedSource
from jdsr_cli.media.reading.opening import open_video
from jdsr_cli.media.reading.picture_files import open_picture
from jdsr_cli.media.reading.picture_sources import PictureSource, SequenceSource
from jdsr_cli.media.reading.pictures import count_pictures, kind_of, read_by_pyav
from jdsr_cli.settings import ReadSettings


@dataclass(frozen=True)
class ReadReport:
    """Counts and warnings of a file that was read.

    Attributes:
        frames: Number of frames that were delivered or skipped by `Reader.skip_to`.
        corrupt: Number of delivered frames that the decoder marked as damaged.
        skipped: Number of packets (of a sequence: pictures) that could not be decoded at all.
        warnings: One sentence for each problem or assumption; empty if there was none.
        unread: Those warnings that name bytes of the file which were not read.
        later: The recordings that follow the first one in the file, for `join_segments`.
        left_out: Pictures of a sequence that could not be decoded.

    """

    frames: int
    corrupt: int
    skipped: int
    warnings: tuple[str, ...]
    unread: tuple[str, ...] = ()
    later: tuple[LaterRecording, ...] = ()
    left_out: tuple[Path, ...] = ()


class Reader:
    """Iterator over the frames of one input; a context manager that closes it.

    Memory does not grow with the length of the input: one frame is stored besides those of the
    decoder. A damaged or truncated file delivers all frames that can be decoded, then ends;
    `report` lists the problems.

    Args:
        source: The opened input.
        aspect: Width over height of the displayed picture, instead of that of the file.

    Attributes:
        info: Header of the input.
        exif: EXIF of a still picture, as it is copied to its results; None if there is none.

    """

    def __init__(self, source: Source, aspect: Fraction | None = None) -> None:
        self._source = source
        self._pending = source.frames()
        self._held: PendingFrame | None = None
        self._last_index: int | None = None
        self._count = 0
        self.info = source.info
        self.exif = source.exif
        if aspect is not None:
            ratio = chosen_aspect(aspect, source.info.width, source.info.height)
            self.info = replace(source.info, sample_aspect_ratio=ratio)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        pending, self._held = self._held, None
        frame = (pending or next(self._pending)).frame()
        self._count += 1
        self._last_index = frame.index
        return frame

    def skip_to(self, index: int) -> None:
        """Skip all frames before an index, so that the frame of this index is delivered next.

        Skipped frames are decoded and get a time, so that all that follows (pictures, times,
        indices, report) is the same as after delivering them. They are not converted to RGB, which
        is most of the work. If `ReadSettings.start` is set, an index before it skips nothing.

        Args:
            index: Index of the next frame in the file; the number of frames is allowed and leaves
                no frame to deliver.

        Raises:
            UsageError: The frame was delivered already.
            MediaError: The input ends before the frame.

        """
        if self._last_index is not None and index <= self._last_index:
            raise UsageError(
                f"frame {index} cannot be skipped to; {self._last_index} was read",
                where=self.info.path,
            )
        while self._last_index is None or self._last_index < index - 1:
            pending = self._held or next(self._pending, None)
            self._held = None
            if pending is None:
                if index <= 0:
                    return
                raise MediaError(
                    f"ends before frame {index}: it is not the input that was read before",
                    where=self.info.path,
                    hint="Start again.",
                )
            if pending.index >= index:
                self._held = pending
                return
            self._last_index = pending.index
            self._count += 1

    def skip(self, frames: int) -> int:
        """Skip a number of frames, as `skip_to` does; return how many there were."""
        skipped = 0
        while skipped < frames:
            pending = self._held or next(self._pending, None)
            self._held = None
            if pending is None:
                break
            self._last_index = pending.index
            self._count += 1
            skipped += 1
        return skipped

    @property
    def report(self) -> ReadReport:
        """Counts and warnings so far; complete when the iteration has ended."""
        source = self._source
        warnings, unread = tuple(source.warnings()), tuple(source.unread())
        later = tuple(source.later) if isinstance(source, JoinedSource) else ()
        left_out = tuple(source.left_out) if isinstance(source, SequenceSource) else ()
        return ReadReport(
            self._count, source.corrupt, source.skipped, warnings, unread, later, left_out
        )

    def close(self) -> None:
        """Close the file; no more frames can be read."""
        self._pending = iter(())
        self._held = None
        self._source.close()


def open_reader(path: str | Path, settings: ReadSettings | None = None) -> Reader:
    """Open a video, animation, still picture or sequence of pictures for reading.

    Args:
        path: The file, whose format is detected from its content, not its name; or the pattern of
            a sequence, such as `frames/shot_%05d.png`, if no file has that name.
        settings: Options for reading; None for the defaults. A trim of a still picture is ignored
            with a warning.

    Returns:
        A reader whose first frame was decoded already.

    Raises:
        InputMissingError: There is no such file.
        InputUnreadableError: It is a folder, or cannot be read.
        MediaError: It is empty, cut off before its index, not media, or of an unknown codec.
        TooLargeError: Its pictures have more pixels than the settings allow.
        OutputError: It has to be salvaged, and the temporary folder is full.
        UsageError: It has no video stream of the chosen number. If the requested part contains no
            frame, it is raised when the first frame is read.

    """
    settings = settings or ReadSettings()
    if is_sequence(path):
        return Reader(SequenceSource(Path(path), settings), settings.aspect)
    file = check_file(path)
    picture = open_picture(file, settings.max_pixels)
    if picture is None:
        return Reader(open_video(file, settings), settings.aspect)
    count = count_pictures(picture, file)
    animated = kind_of(picture, count) == "animation"
    if animated:
        try:
            check_animation(*picture.size, count.pictures, file, settings.max_pixels)
        except TooLargeError:
            picture.close()
            raise
    if animated and read_by_pyav(picture):
        picture.close()
        return Reader(open_video(file, settings, count), settings.aspect)
    return Reader(PictureSource(file, picture, count, settings), settings.aspect)


def probe(path: str | Path, settings: ReadSettings | None = None) -> MediaInfo:
    """Return the header of a media file; its first frame is decoded to validate it.

    A trim in `settings` is ignored. A salvaged copy is removed before this returns.

    Raises:
        InputMissingError: There is no such file.
        InputUnreadableError: It is a folder, or cannot be read.
        MediaError: It is empty, cut off before its index, not media, or of an unknown codec.
        TooLargeError: Its pictures have more pixels than the settings allow.
        OutputError: It has to be salvaged, and the temporary folder is full.
        UsageError: It has no video stream of the chosen number.

    """
    with open_reader(path, settings) as reader:
        return replace(reader.info, salvaged_copy=None)


def read_image(path: str | Path) -> Image:
    """Read a picture, or the first frame of an animation or video.

    EXIF orientation is applied, 16-bit values are scaled to 8 bits, gray is repeated in three
    channels, a colour profile is converted to sRGB and transparency is composited over gray.

    Returns:
        uint8 RGB, shape (height, width, 3).

    Raises:
        InputMissingError: There is no such file.
        InputUnreadableError: It is a folder, or cannot be read.
        MediaError: It is empty, truncated, damaged, or not a picture.
        TooLargeError: It has more pixels than `ReadSettings` allows by default.

    """
    with open_reader(path) as reader:
        return next(reader).image
