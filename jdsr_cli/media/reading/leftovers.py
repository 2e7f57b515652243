"""Keep account of the bytes of a video that were not read, and find those nobody recognised.

Elementary streams, and containers whose elements state no length, end where the file does. FFmpeg
takes a stream of another codec that follows for a part of the last packet, or leaves it out without
a word.
"""

from __future__ import annotations

from collections.abc import Callable

from av.container.input import InputContainer

from jdsr_cli.media.reading.recordings import unread_note
from jdsr_cli.media.reading.salvage import find_stream
from jdsr_cli.media.reading.trailing import Trailing
from jdsr_cli.media.slices import DataFile, FileSlice, path_of

_SEARCHED = 16 << 20
"""Number of bytes after the start of the last packet that are searched."""

_DEMUXERS = {
    "h264": "h264",
    "hevc": "hevc",
    "mpeg1video": "mpegvideo",
    "mpeg2video": "mpegvideo",
    "mpeg4": "m4v",
    "mjpeg": "mjpeg",
}
"""Codec to FFmpeg's name of its elementary streams."""


class Leftovers:
    """The bytes of a video of which FFmpeg read nothing.

    Args:
        data: What is read.
        container: The container that is read.
        unknown: Parts of the file that seem to belong to no recording.
        trailing: Bytes after an animation, None if there are none.

    """

    def __init__(
        self,
        data: DataFile,
        container: InputContainer,
        unknown: tuple[FileSlice, ...],
        trailing: Trailing | None,
    ) -> None:
        self._data = data
        self._container = container
        self._unknown = unknown
        self._trailing = trailing
        self._origin = data.start if isinstance(data, FileSlice) else 0
        self._reached: int | None = None

    def finish(self, reached: int, is_video: Callable[[FileSlice], bool] | None) -> None:
        """Note that the end was reached, and search a stream that FFmpeg did not recognise.

        Args:
            reached: Position in the data at which the last packet starts.
            is_video: Whether a part of the file can be read; None to search nothing.

        Raises:
            OSError: The file cannot be read.

        """
        self._reached = self._origin + reached
        part = None if is_video is None or self._unknown else self._find(reached)
        if part is not None and is_video is not None and is_video(part):
            self._unknown = (part,)

    def notes(self) -> list[str]:
        """Return one sentence for each part that was not read."""
        trailing = [] if self._trailing is None else [self._trailing.note]
        return [*(trailing if self._misses_trailing() else []), *self._unknown_notes()]

    def unread(self) -> list[str]:
        """Return those notes that name more than an addition to a picture."""
        trailing = [] if self._trailing is None else self._trailing.unread
        return [*(trailing if self._misses_trailing() else []), *self._unknown_notes()]

    def _misses_trailing(self) -> bool:
        return self._trailing is not None and self._misses(self._trailing.part)

    def _unknown_notes(self) -> list[str]:
        return [unread_note(part) for part in self._unknown if self._misses(part)]

    def _misses(self, part: FileSlice) -> bool:
        """Whether the end was reached without a packet from this part or from after it."""
        return self._reached is not None and self._reached < part.start

    def _find(self, reached: int) -> FileSlice | None:
        """Return where a stream may start of a codec that the container does not hold."""
        contexts = [stream.codec_context for stream in self._container.streams]
        codecs = [context.name for context in contexts if context is not None]
        own = {self._container.format.name, *(_DEMUXERS.get(codec, "") for codec in codecs)}
        with self._data.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(reached)
            found = find_stream(stream.read(_SEARCHED), own)
        if found is None or not reached + found.offset:
            return None
        start = self._origin + reached + found.offset
        return FileSlice(path_of(self._data), start, self._origin + size)
