"""Describe a video by its container, its stream and its first decoded frame.

The crop of a Matroska or WebM track is read from the file: FFmpeg's demuxer reads it, but PyAV
neither exposes nor applies it. Invalid or damaged elements count as absent. The package enzyme
is not used, since damaged headers raise errors of any type in it, including `MemoryError`.

Sources: RFC 8794 (EBML); RFC 9559, 5.1.4.1.28.6 to 5.1.4.1.28.11 (size and crop of a video track).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

from av.buffer import Buffer
from av.container.input import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame

from jdsr_cli.media.frames import (
    MATRICES,
    PRIMARIES,
    RANGES,
    TRANSFERS,
    MediaInfo,
    MediaKind,
    tag_name,
)
from jdsr_cli.media.geometry import (
    UPRIGHT,
    Aperture,
    Margins,
    Orientation,
    from_display_matrix,
    tagged_aspect,
)
from jdsr_cli.media.inputs import ChosenStream
from jdsr_cli.media.reading.isobmff import item_margins, track_margins
from jdsr_cli.media.reading.pictures import PictureCount
from jdsr_cli.media.reading.salvage import REMUXED
from jdsr_cli.media.slices import DataFile
from jdsr_cli.settings import DEFAULT_FRAME_RATE

_SEGMENT, _TRACKS, _TRACK_ENTRY, _VIDEO, _TRACK_TYPE = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x83
_FIELDS = (0xB0, 0xBA, 0x54CC, 0x54BB, 0x54DD, 0x54AA)
"""PixelWidth and PixelHeight; PixelCropLeft, PixelCropTop, PixelCropRight and PixelCropBottom."""
_VIDEO_TYPE = 1
_MAX_ELEMENTS = 512
"""Number of sibling elements that are read; an intact file has some dozens. The limit stops files
that consist of empty elements within seconds."""

Span = tuple[int, int, int]
"""Identifier of an element, and the positions where its content starts and ends in the file."""


def pixel_crop(file: DataFile, number: int) -> Margins | None:
    """Return the margins that are cropped from a video track.

    Args:
        file: A Matroska or WebM file.
        number: Number of the track among the video tracks, from 0.

    Returns:
        The margins; None if the track is missing.

    """
    try:
        with file.open("rb") as stream:
            return _track_crop(stream, number)
    except OSError:
        return None


def _track_crop(stream: BinaryIO, number: int) -> Margins | None:
    parent = (0, 0, stream.seek(0, os.SEEK_END))
    for name in (_SEGMENT, _TRACKS):
        found = next((one for one in _elements(stream, parent) if one[0] == name), None)
        if found is None:
            return None
        parent = found
    videos = []
    for entry in _elements(stream, parent):
        inner = (
            {one[0]: one for one in _elements(stream, entry)} if entry[0] == _TRACK_ENTRY else {}
        )
        if _TRACK_TYPE in inner and _value(stream, inner[_TRACK_TYPE]) == _VIDEO_TYPE:
            videos.append(inner.get(_VIDEO))
    video = videos[number] if number < len(videos) else None
    if video is None:
        return None
    inner = {one[0]: one for one in _elements(stream, video)}
    return Margins(*(_value(stream, inner[name]) if name in inner else 0 for name in _FIELDS))


def _elements(stream: BinaryIO, parent: Span) -> Iterator[Span]:
    """Yield the children of an element, up to the first that is damaged."""
    _, position, end = parent
    for _ in range(_MAX_ELEMENTS):
        stream.seek(position)
        head = stream.read(16)
        name = _length(head)
        size = _length(head[name:])
        if not name or not size or position >= end:
            return
        start = position + name + size
        count = int.from_bytes(head[name : name + size], "big") - (1 << 7 * size)
        # A size of ones only is unknown: the element extends to the end of its parent.
        last = end if count == (1 << 7 * size) - 1 else start + count
        # A truncated file ends within its segment.
        yield int.from_bytes(head[:name], "big"), start, min(last, end)
        position = last


def _length(data: bytes) -> int:
    """Return the length of the variable-length number that `data` starts with, 0 if none."""
    length = 9 - data[0].bit_length() if data else 9
    return length if length <= min(8, len(data)) else 0


def _value(stream: BinaryIO, element: Span) -> int:
    _, start, end = element
    stream.seek(start)
    return int.from_bytes(stream.read(max(0, min(8, end - start))), "big")


_COUNTING_FORMATS = frozenset({"mov", "avi"})
"""Containers whose header contains the number of frames, by the first of FFmpeg's names."""

_UNTIMED_FORMATS = frozenset({"h264", "hevc", "mjpeg", "m4v", "mpegvideo", "vc1", "obu"})
"""Elementary streams, for which FFmpeg generates times."""


_ITEM_TIME_BASE = Fraction(1)
"""Time base of the pictures of a HEIF or AVIF file in FFmpeg."""

_MICROSECOND = Fraction(1, 1_000_000)


@dataclass(frozen=True)
class Header:
    """The header of an opened video.

    Attributes:
        info: Header as reported to the user of the reader.
        orientation: Orientation of the stored frames.
        aperture: Displayed part of the stored frames, None for all; applied before rotation.
        stated_end: Seconds at which the file ends by its header, None if it states none.
        warnings: One sentence for each value that had to be assumed.

    """

    info: MediaInfo
    orientation: Orientation
    aperture: Aperture | None
    stated_end: Fraction | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class OpenedVideo:
    """An opened container and the stream that is read.

    Attributes:
        file: The file as given by the user.
        data: What the container is read from: the file, a part of it or a salvaged copy.
        container: The container.
        chosen: The stream that is read.
        animation: Number of pictures, if the file is an animation.

    """

    file: Path
    data: DataFile
    container: InputContainer
    chosen: ChosenStream
    animation: PictureCount | None


def read_header(opened: OpenedVideo, frame: VideoFrame, frame_rate: Fraction | None) -> Header:
    """Describe a video.

    Args:
        opened: The container and its stream.
        frame: The first decoded frame.
        frame_rate: Frames per second given by the user, for a file without timestamps.

    """
    container, stream = opened.container, opened.chosen.stream
    pictures = 0 if opened.animation is None else opened.animation.pictures
    context, name = stream.codec_context, container.format.name
    orientation, exact = _orientation(frame)
    found = (
        [] if exact else ["the rotation is not a multiple of 90 degrees; the nearest one is used"]
    )
    if opened.animation is not None:
        found.extend(opened.animation.notes)
    timestamped = frame.pts is not None or frame.dts is not None
    timestamps = timestamped and name not in _UNTIMED_FORMATS
    duration = None if name == REMUXED else _duration(opened)
    own_rate = stream.average_rate or stream.guessed_rate or context.framerate
    if pictures and duration:
        own_rate = pictures / duration
    rate = (own_rate if timestamps else frame_rate or context.framerate or own_rate) or None
    time_base = stream.time_base if timestamps else None
    if not timestamps:
        rate = rate or DEFAULT_FRAME_RATE
        time_base = 1 / rate
        found.append(f"the file contains no timestamps; {float(rate):g} frames/s are assumed")
    elif frame_rate is not None and not pictures:
        found.append("the file contains timestamps; the given frame rate was ignored")
    width, height = frame.width, frame.height
    aperture = _aperture(opened, frame)
    if aperture is not None:
        found.append(aperture.note(width, height))
        width, height = aperture.width, aperture.height
    ratio, implausible = tagged_aspect(stream.sample_aspect_ratio or context.sample_aspect_ratio)
    if implausible is not None:
        found.append(implausible)
    if orientation.swaps_sides:
        width, height, ratio = height, width, 1 / ratio
    kind: MediaKind = "video"
    if pictures:
        kind = "animation"
    elif name.endswith("_pipe") or name == "image2":
        kind = "image"
    promised = pictures or (stream.frames if name.split(",")[0] in _COUNTING_FORMATS else 0)
    info = MediaInfo(
        path=opened.file,
        kind=kind,
        width=width,
        height=height,
        rotation=orientation.rotation,
        mirrored=orientation.mirrored,
        time_base=time_base or _MICROSECOND,
        timestamps=timestamps,
        frame_rate=rate,
        frames_promised=promised or None,
        duration=duration,
        container=name,
        codec=context.name,
        pixel_format=frame.format.name,
        sample_aspect_ratio=ratio,
        colour_range=tag_name(RANGES, frame.color_range or context.color_range),
        colour_primaries=tag_name(PRIMARIES, frame.color_primaries),
        colour_transfer=tag_name(TRANSFERS, frame.color_trc),
        colour_matrix=tag_name(MATRICES, frame.colorspace),
        audio_streams=len(container.streams.audio),
        bit_depth=bit_depth(frame),
        interlaced=kind == "video" and bool(frame.interlaced_frame),
        stream=opened.chosen.number,
        streams=opened.chosen.count,
    )
    return Header(info, orientation, aperture, _stated_end(container, timestamps), tuple(found))


def bit_depth(frame: VideoFrame) -> int:
    """Return the largest number of bits per channel of a decoded frame."""
    return max((part.bits for part in frame.format.components), default=8)


def _aperture(opened: OpenedVideo, frame: VideoFrame) -> Aperture | None:
    """Return the displayed part of the stored frames, None for all."""
    container, stream = opened.container, opened.chosen.stream
    file, name, margins = opened.data, container.format.name, None
    if name.startswith("matroska"):
        margins = pixel_crop(file, opened.chosen.number - 1)
    elif name.startswith("mov"):
        # A picture in a HEIF file and a track beside it may have the same identifier.
        find = item_margins if stream.time_base == _ITEM_TIME_BASE else track_margins
        margins = find(file, stream.id)
    return None if margins is None else margins.aperture(frame.width, frame.height)


def _orientation(frame: VideoFrame) -> tuple[Orientation, bool]:
    """Return the orientation, and whether it is exactly a multiple of 90 degrees."""
    try:
        side_data = cast("Mapping[SideDataType, Buffer]", frame.side_data)
    except ValueError:
        # The frame has side data of a type that PyAV does not support (the EXIF of a JPEG).
        turned = -frame.rotation
        return Orientation(round(turned / 90) % 4 * 90), turned % 90 == 0
    if not frame.rotation and SideDataType.DISPLAYMATRIX not in side_data:
        return UPRIGHT, True
    return from_display_matrix(bytes(side_data[SideDataType.DISPLAYMATRIX]))


def _duration(opened: OpenedVideo) -> Fraction | None:
    stream = opened.chosen.stream
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    total = opened.container.duration
    return total * _MICROSECOND if total and total > 0 else None


def _stated_end(container: InputContainer, timestamps: bool) -> Fraction | None:
    total = container.duration
    if not total or not timestamps or container.format.name == REMUXED:
        return None
    # Matroska states the end, other containers the duration from the first timestamp.
    matroska = container.format.name.startswith("matroska")
    start = 0 if matroska else container.start_time or 0
    return (start + total) * _MICROSECOND
