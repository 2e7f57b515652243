"""Read the recordings of a file one after another, as one video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np

from jdsr_cli.errors import InputError, JdsrError, MediaError, UsageError
from jdsr_cli.media.exif import PictureExif
from jdsr_cli.media.frames import (
    DeepImage,
    Image,
    MediaInfo,
    PendingFrame,
    Pixels,
    reshaped_warning,
    resized_warning,
)
from jdsr_cli.media.geometry import fit
from jdsr_cli.media.later_recordings import LaterRecording
from jdsr_cli.media.reading.recordings import Contents, unread_note
from jdsr_cli.media.reading.trimming import TrimWindow
from jdsr_cli.media.reading.video import VideoSource
from jdsr_cli.media.slices import FileSlice
from jdsr_cli.media.tone_mapping import converter_from_sdr
from jdsr_cli.settings import DEFAULT_FRAME_RATE, ReadSettings

_LONG_TICKS, _SHORT_TICKS = Fraction(1, 1000), Fraction(1, 90000)
"""Seconds per tick: longer ones than the first are divided into some not longer than the second."""


class JoinedSource:
    """The frames of all recordings in a file.

    The header is that of the first recording that can be read, with finer ticks where its own are
    long. Frames of another size are resized to it, with unchanged proportions, and those of other
    colours are converted to its own. A recording whose times begin before the end of the one before
    it follows that one by a frame; its times keep their distances.

    Args:
        file: The file.
        settings: Options for reading.
        contents: The contents of the file, with at least two recordings.

    Attributes:
        exif: None, since it is no still picture.
        later: The recordings after the first one that was read, so far.

    Raises:
        MediaError: No frame of any recording can be decoded.
        InputUnreadableError, DeviceError, UsageError: As `VideoSource`, for the first recording.

    """

    exif: PictureExif | None = None

    def __init__(self, file: Path, settings: ReadSettings, contents: Contents) -> None:
        self._file = file
        self._settings = replace(settings, start=None, end=None)
        self._window = TrimWindow(settings)
        self._contents = contents
        self._unread: list[str] = []
        self._number = 0
        """Number of the recording that is read, from 1."""
        self._source = self._open_first()
        base = self._source.info.time_base
        self.info: MediaInfo = replace(
            self._source.info, time_base=_finer(base), frames_promised=None, duration=None
        )
        self._last: int | None = None
        self._finished: list[str] = []
        self.later: list[LaterRecording] = []
        self._resized = 0
        self._reshaped = 0
        self._corrupt = 0
        self._skipped = 0

    @property
    def corrupt(self) -> int:
        """Number of delivered frames that the decoder marked as damaged."""
        return self._corrupt + self._source.corrupt

    @property
    def skipped(self) -> int:
        """Number of packets that could not be decoded at all."""
        return self._skipped + self._source.skipped

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def frames(self) -> Iterator[PendingFrame]:
        """Yield every frame of the window that can be decoded, in order of time.

        Raises:
            UsageError: No frame is in the window.

        """
        for index, (pts, pending, source) in enumerate(self._all_frames()):
            position = self._window.locate(pts * self.info.time_base)
            if position == "after":
                break
            if position == "inside":
                self._resized += int(not self._has_first_size(source))
                self._reshaped += int(self._is_reshaped(source))
                render = partial(self._render, pending, source)
                deep = partial(self._render_deep, pending, source) if self.info.deep else None
                yield PendingFrame(index, pts, self.info.time_base, render, deep)
        self._window.check(self._file)

    def _all_frames(self) -> Iterator[tuple[int, PendingFrame, MediaInfo]]:
        """Yield the frames of all recordings with their times in ticks, and their headers."""
        yield from self._frames_of(self._source)
        for recording in self._contents.recordings[self._number :]:
            try:
                source = self._open(recording)
            except (InputError, UsageError) as exc:
                self._refuse(recording, exc)
                continue
            self._conclude()
            self._source, self._number = source, self._number_of(recording)
            yield from self._frames_of(source)

    def _open_first(self) -> VideoSource:
        """Open the first recording that can be read.

        Raises:
            MediaError: That of the first one, if none can.

        """
        first_error: MediaError | None = None
        for recording in self._contents.recordings:
            self._number = self._number_of(recording)
            try:
                return self._open(recording)
            except MediaError as exc:
                first_error = first_error or exc
                self._refuse(recording, exc)
        assert first_error is not None
        raise first_error

    def _number_of(self, recording: FileSlice) -> int:
        return self._contents.recordings.index(recording) + 1

    def _open(self, recording: FileSlice) -> VideoSource:
        return VideoSource(self._file, self._settings, part=recording)

    def _frames_of(self, source: VideoSource) -> Iterator[tuple[int, PendingFrame, MediaInfo]]:
        base, shift = self.info.time_base, 0
        step = max(1, round(1 / ((source.info.frame_rate or DEFAULT_FRAME_RATE) * base)))
        before = self._last
        for number, pending in enumerate(source.frames()):
            pts = round(pending.pts * pending.time_base / base)
            if number == 0 and before is not None and pts <= before:
                shift = before + step - pts
            pts += shift
            if number == 0 and before is not None:
                info, part = source.info, self._contents.recordings[self._number - 1]
                self.later.append(
                    LaterRecording(part, shift * base, pts * base, info.audio_streams)
                )
            if self._last is not None:
                # The ticks of the first recording may be longer than those of this one.
                pts = max(pts, self._last + 1)
            self._last = pts
            yield pts, pending, source.info

    def _has_first_size(self, source: MediaInfo) -> bool:
        return (source.width, source.height) == (self.info.width, self.info.height)

    def _is_reshaped(self, source: MediaInfo) -> bool:
        """Whether frames have the size of the first recording, but other proportions."""
        same_aspect = source.sample_aspect_ratio == self.info.sample_aspect_ratio
        return self._has_first_size(source) and not same_aspect

    def _render(self, pending: PendingFrame, source: MediaInfo) -> Image:
        return self._fitted(pending.render(), source)

    def _render_deep(self, pending: PendingFrame, source: MediaInfo) -> DeepImage:
        if pending.deep is not None and _colours(source) == _colours(self.info):
            return self._fitted(pending.deep(), source)
        levels = self._render(pending, source).astype(np.float32)
        return np.rint(converter_from_sdr(self.info)(levels)).astype(np.uint16)

    def _fitted(self, image: Pixels, source: MediaInfo) -> Pixels:
        """Return a picture in the size of the first recording."""
        info = self.info
        if self._has_first_size(source) and not self._is_reshaped(source):
            return image
        aspect = source.sample_aspect_ratio / info.sample_aspect_ratio
        return fit(image, info.width, info.height, aspect)

    def _refuse(self, recording: FileSlice, error: JdsrError) -> None:
        self._unread.append(
            f"{recording.size} bytes after byte {recording.start}, which hold another recording, "
            f"were not read ({error.what})"
        )

    def _conclude(self) -> None:
        """Keep the counts and warnings of the recording that was read, and close it."""
        self._finished = self._warnings_so_far()
        self._corrupt += self._source.corrupt
        self._skipped += self._source.skipped
        self._source.close()

    def _warnings_so_far(self) -> list[str]:
        prefix = f"recording {self._number}: " if self._number > 1 else ""
        return [*self._finished, *(prefix + text for text in self._source.warnings())]

    def unread(self) -> list[str]:
        """Return one sentence for each part of the file that could not be read."""
        return [*self._unread, *map(unread_note, self._contents.unknown)]

    def warnings(self) -> list[str]:
        """Return one sentence for each problem found so far."""
        found = [
            f"the file contains {len(self._contents.recordings)} recordings one after another; "
            "they are read as one video",
            *self._contents.notes,
            *self._warnings_so_far(),
            *self.unread(),
        ]
        if self._resized:
            found.append(resized_warning(self._resized))
        if self._reshaped:
            found.append(reshaped_warning(self._reshaped))
        return found


def _finer(time_base: Fraction) -> Fraction:
    """Return the ticks of a video in which recordings of other rates have their times too."""
    if time_base <= _LONG_TICKS:
        return time_base
    return time_base / ceil(time_base / _SHORT_TICKS)


def _colours(info: MediaInfo) -> tuple[str, ...]:
    """Return the tags that say what the levels of a picture mean."""
    tags = (info.colour_primaries, info.colour_transfer)
    return (*tags, info.mastering_display or "", info.content_light or "")
