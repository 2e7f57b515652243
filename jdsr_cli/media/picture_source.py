"""A still picture, or an animation that Pillow decodes, as a source of frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image as Pillow

from jdsr_cli.errors import MediaError, UsageError
from jdsr_cli.media.frames import Frame
from jdsr_cli.media.info import MediaInfo
from jdsr_cli.media.opening import no_such_stream
from jdsr_cli.media.pictures import (
    PictureCount,
    animation_frames,
    aperture_of,
    describe,
    pixels,
)
from jdsr_cli.media.sources import PendingFrame, depth_warning
from jdsr_cli.media.trimming import TRIM_IGNORED, TrimWindow
from jdsr_cli.settings import ReadSettings


class PictureSource:
    """A still, or an animation that Pillow decodes.

    Args:
        file: The file.
        picture: The same, opened; closed with the source, and where it cannot be made.
        count: How many pictures it holds.
        settings: The part that is wanted; a still ignores it and says so.

    Raises:
        MediaError: The first picture is damaged.
        UsageError: Another video stream than the only one is chosen.

    """

    corrupt = 0
    skipped = 0

    def __init__(
        self, file: Path, picture: Pillow.Image, count: PictureCount, settings: ReadSettings
    ) -> None:
        self._aperture = aperture_of(picture, file)
        self.info: MediaInfo = describe(file, picture, count, self._aperture)
        self._count = count.pictures
        self._picture = picture
        self._window = TrimWindow(settings)
        self._warnings: list[str] = []
        if self._aperture is not None:
            self._warnings.append(self._aperture.note(*picture.size))
        try:
            if (settings.stream or 1) > 1:
                raise no_such_stream(file, settings.stream or 1, 1)
            if count.damage is not None:
                self._warnings.append(count.damage)
            self._first = pixels(picture, file, self._aperture)
        except (MediaError, UsageError):
            picture.close()
            raise
        if self.info.bit_depth > 8:
            self._warnings.append(depth_warning(self.info.bit_depth))
        if self.info.kind == "image" and picture.format == "TIFF" and count.pictures > 1:
            self._warnings.append(f"only the first of {count.pictures} pages of the TIFF was read")
        if self.info.kind == "image" and settings.trims:
            self._warnings.append(TRIM_IGNORED)

    def frames(self) -> Iterator[PendingFrame]:
        """Yield the pictures in the window; a damaged one ends it.

        Raises:
            UsageError: The window holds none.

        """
        if self.info.kind == "image":
            yield PendingFrame(0, 0, self.info.time_base, lambda: self._first)
            return
        try:
            pictures = animation_frames(self._picture, self.info.path, self._count, self._aperture)
            for frame in pictures:
                place = self._window.place(frame.time)
                if place == "after":
                    break
                if place == "inside":
                    yield _pending(frame)
        except MediaError as exc:
            self._warnings.append(exc.what)
        self._window.check(self.info.path)

    def warnings(self) -> list[str]:
        """Return one sentence for each thing that was amiss so far."""
        return self._warnings

    def close(self) -> None:
        """Close the file."""
        self._picture.close()


def _pending(frame: Frame) -> PendingFrame:
    """Return a frame that is finished already."""
    return PendingFrame(frame.index, frame.pts, frame.time_base, lambda: frame.image)
