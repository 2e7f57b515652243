"""Describe a video by its container, its stream and its first decoded frame.

The crop of a Matroska or WebM track is read from the file: FFmpeg's demuxer reads it, but PyAV
neither exposes nor applies it. Invalid or damaged elements count as absent.

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

_SEGMENT, _TRACKS, _ENTRY, _VIDEO, _KIND = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x83
_FIELDS = (0xB0, 0xBA, 0x54CC, 0x54BB, 0x54DD, 0x54AA)
"""PixelWidth and PixelHeight; PixelCropLeft, PixelCropTop, PixelCropRight and PixelCropBottom."""
_IS_VIDEO = 1
_MOST_ELEMENTS = 512
"""Elements side by side that are looked at; a whole file has some dozens. A file made of nothing
but empty ones is given up within seconds."""

Span = tuple[int, int, int]
"""Identifier of an element, and where its content begins and ends in the file."""


def pixel_crop(file: Path, number: int) -> Margins | None:
    """Return what is cut off at the edges of a video track.

    Args:
        file: A Matroska or WebM file.
        number: Of the track among those of video, from 0.

    Returns:
        The margins; None where the track is missing.

    """
    try:
        with file.open("rb") as stream:
            return _of_track(stream, number)
    except OSError:
        return None


def _of_track(stream: BinaryIO, number: int) -> Margins | None:
    whole = (0, 0, stream.seek(0, os.SEEK_END))
    for name in (_SEGMENT, _TRACKS):
        found = next((one for one in _elements(stream, whole) if one[0] == name), None)
        if found is None:
            return None
        whole = found
    videos = []
    for entry in _elements(stream, whole):
        inner = {one[0]: one for one in _elements(stream, entry)} if entry[0] == _ENTRY else {}
        if _KIND in inner and _value(stream, inner[_KIND]) == _IS_VIDEO:
            videos.append(inner.get(_VIDEO))
    video = videos[number] if number < len(videos) else None
    if video is None:
        return None
    inner = {one[0]: one for one in _elements(stream, video)}
    return Margins(*(_value(stream, inner[name]) if name in inner else 0 for name in _FIELDS))


def _elements(stream: BinaryIO, parent: Span) -> Iterator[Span]:
    """Yield the elements within one, up to the first that is damaged."""
    _, position, end = parent
    for _ in range(_MOST_ELEMENTS):
        stream.seek(position)
        head = stream.read(16)
        name = _length(head)
        size = _length(head[name:])
        if not name or not size or position >= end:
            return
        start = position + name + size
        count = int.from_bytes(head[name : name + size], "big") - (1 << 7 * size)
        # A size of ones only is not known yet: the recording went on to the end of the file.
        last = end if count == (1 << 7 * size) - 1 else start + count
        # A file that was cut off ends within its segment.
        yield int.from_bytes(head[:name], "big"), start, min(last, end)
        position = last


def _length(data: bytes) -> int:
    """Return the bytes of the number of variable length that `data` begins with, 0 for none."""
    length = 9 - data[0].bit_length() if data else 9
    return length if length <= min(8, len(data)) else 0


def _value(stream: BinaryIO, element: Span) -> int:
    _, start, end = element
    stream.seek(start)
    return int.from_bytes(stream.read(max(0, min(8, end - start))), "big")


_COUNTING_FORMATS = frozenset({"mov", "avi"})
"""Containers whose header holds the number of frames, by the first of FFmpeg's names."""

_UNTIMED_FORMATS = frozenset({"h264", "hevc", "mjpeg", "m4v", "mpegvideo", "vc1", "obu"})
"""Elementary streams: any times that FFmpeg gives for them are made up."""

_DEFAULT_RATE = Fraction(25)
"""Frames per second where a file tells neither times nor rate."""

_ITEM_TIME_BASE = Fraction(1)
"""Seconds per unit of time that FFmpeg gives to pictures of a HEIF or AVIF file."""

_MICROSECOND = Fraction(1, 1_000_000)


@dataclass(frozen=True)
class Header:
    """What an opened video says about itself.

    Attributes:
        info: In the terms of the reader.
        orientation: How its frames are turned upright.
        aperture: Part of the stored frames that is displayed, None for all; cut before turning.
        promised_end: Seconds at which the file ends by its header, None where it does not say.
        warnings: One sentence for each thing that had to be guessed.

    """

    info: MediaInfo
    orientation: Orientation
    aperture: Aperture | None
    promised_end: Fraction | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Opened:
    """An opened container, as far as its header depends on it.

    Attributes:
        file: The file as the user named it.
        container: The container.
        chosen: The stream that is read.
        animation: How many pictures it holds, where the file is an animation.

    """

    file: Path
    container: InputContainer
    chosen: ChosenStream
    animation: PictureCount | None


def read_header(opened: Opened, frame: VideoFrame, frame_rate: Fraction | None) -> Header:
    """Describe a video.

    Args:
        opened: The container and its stream.
        frame: The first frame that was decoded.
        frame_rate: Frames per second by the user, for a file without timestamps.

    """
    container, stream = opened.container, opened.chosen.stream
    pictures = 0 if opened.animation is None else opened.animation.pictures
    context, name = stream.codec_context, container.format.name
    orientation, exact = _orientation(frame)
    found = [] if exact else ["the rotation is no right angle; the nearest was taken"]
    if opened.animation is not None and opened.animation.damage is not None:
        found.append(opened.animation.damage)
    timestamped = frame.pts is not None or frame.dts is not None
    timestamps = timestamped and name not in _UNTIMED_FORMATS
    duration = None if name == REMUXED else _duration(opened)
    own_rate = stream.average_rate or stream.guessed_rate or context.framerate
    if pictures and duration:
        own_rate = pictures / duration
    rate = (own_rate if timestamps else frame_rate or context.framerate or own_rate) or None
    time_base = stream.time_base if timestamps else None
    if not timestamps:
        rate = rate or _DEFAULT_RATE
        time_base = 1 / rate
        found.append(f"the file holds no timestamps; {float(rate):g} frames/s taken")
    elif frame_rate is not None and not pictures:
        found.append("the file holds timestamps of its own; the given frame rate was not used")
    width, height = frame.width, frame.height
    aperture = _aperture(opened, frame)
    if aperture is not None:
        found.append(aperture.note(width, height))
        width, height = aperture.width, aperture.height
    ratio, fault = tagged_aspect(stream.sample_aspect_ratio or context.sample_aspect_ratio)
    if fault is not None:
        found.append(fault)
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
    return Header(info, orientation, aperture, _promised_end(container, timestamps), tuple(found))


def bit_depth(frame: VideoFrame) -> int:
    """Return the bits of the finest channel of a decoded frame."""
    return max((part.bits for part in frame.format.components), default=8)


def _aperture(opened: Opened, frame: VideoFrame) -> Aperture | None:
    """Return the part of the stored frames that is displayed, None for all."""
    container, stream = opened.container, opened.chosen.stream
    # What is read may be a copy of the file that the user named.
    file, name, margins = Path(container.name), container.format.name, None
    if name.startswith("matroska"):
        margins = pixel_crop(file, opened.chosen.number - 1)
    elif name.startswith("mov"):
        # A picture in a HEIF file and a track beside it may have the same identifier.
        find = item_margins if stream.time_base == _ITEM_TIME_BASE else track_margins
        margins = find(file, stream.id)
    return None if margins is None else margins.aperture(frame.width, frame.height)


def _orientation(frame: VideoFrame) -> tuple[Orientation, bool]:
    """Return the orientation, and whether it is exactly a right angle."""
    try:
        side_data = cast("Mapping[SideDataType, Buffer]", frame.side_data)
    except ValueError:
        # Beside the frame lies a kind of data that PyAV has no name for (the EXIF of a JPEG).
        turned = -frame.rotation
        return Orientation(round(turned / 90) % 4 * 90), turned % 90 == 0
    if not frame.rotation and SideDataType.DISPLAYMATRIX not in side_data:
        return UPRIGHT, True
    return from_display_matrix(bytes(side_data[SideDataType.DISPLAYMATRIX]))


def _duration(opened: Opened) -> Fraction | None:
    stream = opened.chosen.stream
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    total = opened.container.duration
    return total * _MICROSECOND if total and total > 0 else None


def _promised_end(container: InputContainer, timestamps: bool) -> Fraction | None:
    total = container.duration
    if not total or not timestamps or container.format.name == REMUXED:
        return None
    # Matroska states the end, the others the length from the first timestamp on.
    matroska = container.format.name.startswith("matroska")
    start = 0 if matroska else container.start_time or 0
    return (start + total) * _MICROSECOND
