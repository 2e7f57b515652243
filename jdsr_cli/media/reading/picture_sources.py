"""Sources of frames from pictures: a still, an animation decoded by Pillow, a numbered sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from PIL import Image as Pillow

from jdsr_cli.errors import InputMissingError, InputUnreadableError, MediaError
from jdsr_cli.media.exif import PictureExif, read_exif
from jdsr_cli.media.frames import Image, MediaInfo, PendingFrame, resized_warning
from jdsr_cli.media.geometry import fit
from jdsr_cli.media.inputs import check_file, no_such_stream, numbered_files
from jdsr_cli.media.reading.picture_files import open_picture
from jdsr_cli.media.reading.picture_pixels import Rendering, render
from jdsr_cli.media.reading.pictures import (
    AnimationPicture,
    PictureCount,
    animation_pictures,
    aperture_of,
    as_frames,
    count_pictures,
    describe,
    file_notes,
)
from jdsr_cli.media.reading.trimming import TRIM_IGNORED, TrimWindow
from jdsr_cli.settings import DEFAULT_FRAME_RATE, ReadSettings


class PictureSource:
    """A still picture, or an animation that Pillow decodes.

    Args:
        file: The file.
        picture: The opened picture; closed with the source, and if the source cannot be created.
        count: Number of pictures in the file.
        settings: Options for reading; a trim of a still picture is ignored with a warning.

    Raises:
        MediaError: The first picture is damaged.
        UsageError: A video stream other than the first is chosen.

    """

    corrupt = 0
    skipped = 0

    def __init__(
        self, file: Path, picture: Pillow.Image, count: PictureCount, settings: ReadSettings
    ) -> None:
        self.exif: PictureExif | None = None
        self._count = count
        self._picture = picture
        self._window = TrimWindow(settings)
        try:
            self._aperture = aperture_of(picture, file)
            self.info: MediaInfo = describe(file, picture, count, self._aperture)
            self._warnings = file_notes(picture, file, count)
            still = self.info.kind == "image"
            if (settings.stream or 1) > 1:
                raise no_such_stream(file, settings.stream or 1, 1)
            self._warn(count.notes)
            self._warn(() if count.trailing is None else (count.trailing.note,))
            if still:
                # Before the pixels: decoders change the tags.
                self.exif, damage = read_exif(picture)
                self._warn(() if damage is None else (damage,))
            first = render(picture, file, self._aperture)
        except BaseException:
            picture.close()
            raise
        self._first = first.image
        self.info = first.sized(self.info)
        self._warn(first.notes)
        if still and settings.trims:
            self._warnings.append(TRIM_IGNORED)

    def _warn(self, notes: Iterable[str]) -> None:
        """Add sentences that are not there yet."""
        self._warnings.extend(note for note in notes if note not in self._warnings)

    def frames(self) -> Iterator[PendingFrame]:
        """Yield the pictures in the window, up to the first that is damaged.

        Raises:
            UsageError: No picture is in the window.

        """
        if self.info.kind == "image":
            yield PendingFrame(0, 0, self.info.time_base, lambda: self._first)
            return
        try:
            pictures = animation_pictures(
                self._picture, self.info.path, self._count.pictures, self._aperture
            )
            for one in pictures:
                position = self._window.locate(one.pts * self.info.time_base)
                if position == "after":
                    break
                if position == "inside":
                    self._warn(one.rendering.notes)
                    yield self._pending(one)
        except MediaError as exc:
            self._warnings.append(exc.what)
        self._window.check(self.info.path)

    def _pending(self, one: AnimationPicture) -> PendingFrame:
        """Return a picture that is already converted as a pending frame."""
        return PendingFrame(one.index, one.pts, self.info.time_base, lambda: one.rendering.image)

    def warnings(self) -> list[str]:
        """Return one sentence for each problem found so far."""
        return self._warnings

    def unread(self) -> list[str]:
        """Return those warnings that name a video or picture which is not read."""
        return [] if self._count.trailing is None else self._count.trailing.unread

    def close(self) -> None:
        """Close the file."""
        self._picture.close()


_MAX_LISTED = 3
"""Number of unreadable pictures that are listed by name; the others are counted."""


@dataclass(frozen=True)
class _SequencePicture:
    """A picture of a sequence that was read: its header, its pixels and notes for the user."""

    info: MediaInfo
    rendering: Rendering
    notes: tuple[str, ...]


_LONGEST_SEQUENCE = 10**12
"""Seconds. Containers store times of some ten times as much, in 64 bits."""


class SequenceSource:
    """The pictures of a numbered sequence, at a constant rate.

    The time of a picture follows from its number, so that a missing number leaves a gap and later
    times do not shift.

    Args:
        pattern: Folder and file name with a number field.
        settings: Options for reading: the rate and the requested part.

    Raises:
        InputMissingError: There are no such files.
        InputUnreadableError: The folder cannot be listed.
        MediaError: None of the pictures can be read, or their numbers are too far apart.
        UsageError: A video stream other than the first is chosen.

    Attributes:
        left_out: The pictures that could not be read so far.

    """

    corrupt = 0
    exif = None

    def __init__(self, pattern: Path, settings: ReadSettings) -> None:
        self._files = numbered_files(pattern)
        if (settings.stream or 1) > 1:
            raise no_such_stream(pattern, settings.stream or 1, 1)
        self._window = TrimWindow(settings)
        self._max_pixels = settings.max_pixels
        self.left_out: list[Path] = []
        self._resized = 0
        self.skipped = 0
        rate = settings.frame_rate or DEFAULT_FRAME_RATE
        count = self._files[-1].number - self._files[0].number + 1
        if count / rate > _LONGEST_SEQUENCE:
            raise self._too_long()
        first = self._first_picture()
        self.info: MediaInfo = replace(
            as_frames(first.info),
            path=pattern,
            kind="sequence",
            rotation=0,
            mirrored=False,
            time_base=1 / rate,
            timestamps=False,
            frame_rate=rate,
            frames_promised=len(self._files),
            duration=count / rate,
        )
        used = "assumed" if settings.frame_rate is None else "used (--fps)"
        self._faults = [
            f"a sequence of pictures contains no times; {float(rate):g} frames/s are {used}"
        ]
        self._warn(first)
        if count > len(self._files):
            self._faults.append(self._gap(count - len(self._files)))

    def _warn(self, picture: _SequencePicture) -> None:
        """Add the notes of a picture that are not there yet."""
        found = (*picture.notes, *picture.rendering.notes)
        self._faults.extend(note for note in found if note not in self._faults)

    def _first_picture(self) -> _SequencePicture:
        """Return the first readable picture."""
        fault: MediaError | None = None
        for file in self._files:
            try:
                return _read(file.path, self._max_pixels)
            except MediaError as exc:
                fault = fault or exc
        raise MediaError(
            "none of the pictures of this sequence can be read",
            where=self._files[0].path.parent,
            hint=f"The first: {fault}",
        )

    def _too_long(self) -> MediaError:
        before, after = max(pairwise(self._files), key=lambda pair: pair[1].number - pair[0].number)
        return MediaError(
            f"the numbers of {before.path.name} and {after.path.name} are too far apart: a video "
            f"cannot be longer than {_LONGEST_SEQUENCE:.0e} s",
            where=before.path.parent,
            hint="Rename the picture whose number is wrong, or move it out of the folder.",
        )

    def _gap(self, missing: int) -> str:
        expected = self._files[0].number
        for file in self._files:
            if file.number != expected:
                break
            expected += 1
        return (
            f"{missing} numbers of the sequence are missing, the first is {expected}; their time "
            "is left empty"
        )

    def frames(self) -> Iterator[PendingFrame]:
        """Yield the readable pictures in the window, in order of number.

        Raises:
            UsageError: No picture is in the window.

        """
        index, origin = 0, self._files[0].number
        size = (self.info.width, self.info.height)
        for file in self._files:
            try:
                picture = _read(file.path, self._max_pixels)
            except MediaError:
                self.left_out.append(file.path)
                self.skipped += 1
                continue
            pts = file.number - origin
            position = self._window.locate(pts * self.info.time_base)
            if position == "after":
                break
            if position == "inside":
                self._warn(picture)
                image = picture.rendering.image
                self._resized += int(image.shape[1::-1] != size)
                yield PendingFrame(index, pts, self.info.time_base, partial(_fit, image, size))
            index += 1
        self._window.check(self.info.path)

    def unread(self) -> list[str]:
        """Return nothing: what follows a picture of a sequence is named in `warnings`."""
        return []

    def warnings(self) -> list[str]:
        """Return one sentence for each problem found so far."""
        found = list(self._faults)
        if self.left_out:
            names = ", ".join(path.name for path in self.left_out[:_MAX_LISTED])
            more = " and others" if len(self.left_out) > _MAX_LISTED else ""
            found.append(
                f"{len(self.left_out)} pictures of the sequence could not be read and were "
                f"left out: {names}{more}"
            )
        if self._resized:
            found.append(resized_warning(self._resized))
        return found

    def close(self) -> None:
        """Do nothing: no file is open."""


def _read(file: Path, max_pixels: int) -> _SequencePicture:
    """Read one picture.

    Raises:
        MediaError: The file is not a picture, or is damaged.

    """
    try:
        picture = open_picture(check_file(file), max_pixels)
    except (InputMissingError, InputUnreadableError) as exc:
        raise MediaError(exc.what, where=file, hint=exc.hint) from exc
    if picture is None:
        raise MediaError("is not a picture", where=file, hint="Check what the file is.")
    with picture:
        count = count_pictures(picture, file)
        aperture = aperture_of(picture, file)
        notes = tuple(file_notes(picture, file, count))
        info = describe(file, picture, count, aperture)
        rendering = render(picture, file, aperture)
        return _SequencePicture(rendering.sized(info), rendering, notes)


def _fit(image: Image, size: tuple[int, int]) -> Image:
    """Resize a picture to (width, height) if it has another size; keep its aspect ratio."""
    if image.shape[1::-1] == size:
        return image
    return fit(image, *size)
