"""Open any input and iterate over its upright RGB frames with exact times."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from jdsr_cli.errors import MediaError, UsageError
from jdsr_cli.media.frames import Frame, Image, MediaInfo, PendingFrame, Source
from jdsr_cli.media.geometry import chosen_aspect
from jdsr_cli.media.inputs import check_file, is_sequence
from jdsr_cli.media.reading.isobmff import index_missing
from jdsr_cli.media.reading.picture_sources import PictureSource, SequenceSource
from jdsr_cli.media.reading.pictures import (
    PictureCount,
    count_pictures,
    kind_of,
    open_picture,
    read_by_pyav,
)
from jdsr_cli.media.reading.salvage import TIMED_DEMUXERS, Salvage
from jdsr_cli.media.reading.video import VideoSource
from jdsr_cli.settings import ReadSettings

_PICTURE_START = b"\xff\xd8\xff"
"""Beginning of a motion JPEG stream; FFmpeg loses pictures where something else comes first."""


def open_video(
    file: Path, settings: ReadSettings, animation: PictureCount | None = None
) -> VideoSource:
    """Open a video, by way of a salvaged copy where that gives more than the file itself.

    Args:
        file: A file that exists and is not empty.
        settings: What the user chose.
        animation: How many pictures it holds, where the file is an animation.

    Raises:
        MediaError: Nothing in it can be decoded, nor in any copy that could be salvaged.
        OutputError: The temporary place is full.
        UsageError: It holds fewer video streams than the one chosen.

    """
    try:
        source = VideoSource(file, settings, animation=animation)
    except MediaError as fault:
        if index_missing(file):
            raise
        salvage = Salvage(file)
        salvaged = _salvaged(salvage, file, settings)
        if salvaged is None and salvage.messages:
            raise MediaError(
                f"{fault.what}; salvage failed too ({salvage.messages[0]})",
                where=file,
                hint=fault.hint,
            ) from fault
        if salvaged is None:
            raise
        return salvaged
    better = _better_formats(file, source)
    if better:
        try:
            salvaged = _salvaged(Salvage(file, better), file, settings)
        except BaseException:
            source.close()
            raise
        if salvaged is not None and (salvaged.info.timestamps or "mjpeg" in better):
            source.close()
            return salvaged
        if salvaged is not None:
            salvaged.close()
    return source


def _salvaged(salvage: Salvage, file: Path, settings: ReadSettings) -> VideoSource | None:
    """Return the first copy of which a frame decodes, None where there is none."""
    for copy in salvage.copies():
        try:
            return VideoSource(file, settings, copy=copy)
        except MediaError as exc:
            copy.close()
            salvage.messages.append(f"as {copy.found.demuxer}: {exc.what}")
        except BaseException:
            copy.close()
            raise
    return None


def _better_formats(file: Path, source: VideoSource) -> Container[str]:
    """Return the formats that, found in a file that can be read as it is, promise more.

    An elementary stream has no times: where it is the content of a container whose beginning was
    not found at byte 0, the container has them.
    """
    if source.info.timestamps or source.info.kind != "video":
        return ()
    if source.info.container != "mjpeg":
        return TIMED_DEMUXERS
    with file.open("rb") as stream:
        begins = stream.read(len(_PICTURE_START)) == _PICTURE_START
    return () if begins else {*TIMED_DEMUXERS, "mjpeg"}


@dataclass(frozen=True)
class ReadReport:
    """What became of a file that was read.

    Attributes:
        frames: Frames delivered, and those that `Reader.skip_to` passed over.
        corrupt: Frames delivered though the decoder marked them as damaged.
        skipped: Packets (of a sequence: pictures) that could not be decoded at all.
        warnings: One sentence for each thing that a person should know, empty if all was well.

    """

    frames: int
    corrupt: int
    skipped: int
    warnings: tuple[str, ...]


class Reader:
    """Iterator over the frames of one input; a context manager that closes it.

    Memory does not grow with the length of the input: one frame is held beside the decoder's
    own. A file that is damaged or cut off delivers all that can be decoded, then ends; `report`
    tells what was amiss.

    Args:
        source: The opened input.
        aspect: Width over height of the displayed picture, where the file's own is not to count.

    Attributes:
        info: What the file says about itself.

    """

    def __init__(self, source: Source, aspect: Fraction | None = None) -> None:
        self._source = source
        self._pending = source.frames()
        self._held: PendingFrame | None = None
        self._passed: int | None = None
        self._count = 0
        self.info = source.info
        if aspect is not None:
            ratio = chosen_aspect(aspect, source.info.width, source.info.height)
            self.info = replace(source.info, sample_aspect_ratio=ratio)

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
        pending, self._held = self._held, None
        frame = (pending or next(self._pending)).frame()
        self._count += 1
        self._passed = frame.index
        return frame

    def skip_to(self, index: int) -> None:
        """Pass over all frames before the one of that index, so that it is the next delivered.

        They are decoded and timed, so that all that follows (pictures, times, indices, report)
        is as if they had been delivered, but not converted to RGB, which is the greater part of
        the work. Where reading begins later by `ReadSettings.start`, an index before that passes
        over nothing.

        Args:
            index: Of the next frame, counted in the file; the number of frames in it is allowed,
                and leaves nothing to be delivered.

        Raises:
            UsageError: That frame was delivered already.
            MediaError: The input ends before it.

        """
        if self._passed is not None and index <= self._passed:
            raise UsageError(
                f"frame {index} cannot be skipped to; {self._passed} was read", where=self.info.path
            )
        while self._passed is None or self._passed < index - 1:
            pending = self._held or next(self._pending, None)
            self._held = None
            if pending is None:
                if index <= 0:
                    return
                raise MediaError(
                    f"ends before frame {index}: it is not the input that was read before",
                    where=self.info.path,
                    hint="Begin anew.",
                )
            if pending.index >= index:
                self._held = pending
                return
            self._passed = pending.index
            self._count += 1

    @property
    def report(self) -> ReadReport:
        """What has been read so far; complete once the iteration has ended."""
        source = self._source
        return ReadReport(self._count, source.corrupt, source.skipped, tuple(source.warnings()))

    def close(self) -> None:
        """Close the file; reading further is not possible."""
        self._pending = iter(())
        self._held = None
        self._source.close()


def open_reader(path: str | Path, settings: ReadSettings | None = None) -> Reader:
    """Open a video, animation, still picture or sequence of pictures for reading.

    Args:
        path: The file; what it is shows in its content, not its name. Or the pattern of a
            sequence, such as `frames/shot_%05d.png`, where no file has that name.
        settings: What is to be read and how; None for all of it as it is. A still ignores a
            trim and says so in its report.

    Returns:
        A reader whose file has been proven to hold a frame that decodes.

    Raises:
        InputMissingError: Nothing is there.
        InputUnreadableError: It is a folder, or may not be read.
        MediaError: It is empty, cut off before its index, no media, or of an unknown codec.
        OutputError: It has to be salvaged, and the temporary place is full.
        UsageError: It holds no video stream of the chosen number. That the chosen part holds no
            frame is known and raised only where the first frame is asked for.

    """
    settings = settings or ReadSettings()
    if is_sequence(path):
        return Reader(SequenceSource(Path(path), settings), settings.aspect)
    file = check_file(path)
    picture = open_picture(file)
    if picture is None:
        return Reader(open_video(file, settings), settings.aspect)
    count = count_pictures(picture, file)
    if kind_of(picture, count) == "animation" and read_by_pyav(picture):
        picture.close()
        return Reader(open_video(file, settings, count), settings.aspect)
    return Reader(PictureSource(file, picture, count, settings), settings.aspect)


def probe(path: str | Path, settings: ReadSettings | None = None) -> MediaInfo:
    """Return what a media file says about itself; its first frame is decoded, so that is proven.

    A part chosen by `settings` is not looked at. A copy that had to be salvaged is gone when
    this returns.

    Raises:
        InputMissingError: Nothing is there.
        InputUnreadableError: It is a folder, or may not be read.
        MediaError: It is empty, cut off before its index, no media, or of an unknown codec.
        OutputError: It has to be salvaged, and the temporary place is full.
        UsageError: It holds no video stream of the chosen number.

    """
    with open_reader(path, settings) as reader:
        return replace(reader.info, salvaged_copy=None)


def read_image(path: str | Path) -> Image:
    """Read a picture (of an animation or video: its first frame).

    EXIF orientation is applied, 16-bit values are scaled to 8, gray is repeated in three
    channels and transparent parts are laid over black.

    Returns:
        uint8 RGB, shape (height, width, 3).

    Raises:
        InputMissingError: Nothing is there.
        InputUnreadableError: It is a folder, or may not be read.
        MediaError: It is empty, cut off, damaged, or no picture.

    """
    with open_reader(path) as reader:
        return next(reader).image
