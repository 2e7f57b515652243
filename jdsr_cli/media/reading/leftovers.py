"""Find a stream that was joined to a recording whose end FFmpeg does not recognise.

Elementary streams, and containers whose elements state no length, end where the file does. FFmpeg
takes a stream of another codec that follows for a part of the last packet, or leaves it out without
a word.
"""

from __future__ import annotations

from av.container.input import InputContainer

from jdsr_cli.media.reading.salvage import find_stream
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


def find_leftover(data: DataFile, container: InputContainer, reached: int) -> FileSlice | None:
    """Return where a stream may start of whose codec FFmpeg read nothing, None if nowhere.

    Args:
        data: What was read.
        container: The container; it may be at its end.
        reached: Position in `data` at which the last packet starts.

    Raises:
        OSError: The file cannot be read.

    """
    codecs = [one.codec_context.name for one in container.streams if one.codec_context is not None]
    own = {container.format.name, *(_DEMUXERS.get(codec, "") for codec in codecs)}
    with data.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(reached)
        found = find_stream(stream.read(_SEARCHED), own)
    if found is None or not reached + found.offset:
        return None
    origin = data.start if isinstance(data, FileSlice) else 0
    return FileSlice(path_of(data), origin + reached + found.offset, origin + size)
