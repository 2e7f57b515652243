"""Opening a video by the best way in: as it is, or by way of a salvaged copy."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from jdsr_cli.errors import MediaError
from jdsr_cli.media.opening import index_missing
from jdsr_cli.media.pictures import PictureCount
from jdsr_cli.media.salvage import Salvage
from jdsr_cli.media.signatures import TIMED_DEMUXERS
from jdsr_cli.media.video import VideoSource
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
