"""Describing a video by its header and its first frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

from av.buffer import Buffer
from av.container.input import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame

from jdsr_cli.media.aperture import Aperture, clean_aperture
from jdsr_cli.media.aspect import tagged_aspect
from jdsr_cli.media.colour import MATRICES, PRIMARIES, RANGES, TRANSFERS, tag_name
from jdsr_cli.media.info import MediaInfo, MediaKind
from jdsr_cli.media.opening import ChosenStream
from jdsr_cli.media.orientation import UPRIGHT, Orientation, from_display_matrix
from jdsr_cli.media.pictures import PictureCount
from jdsr_cli.media.salvage import REMUXED

_COUNTING_FORMATS = frozenset({"mov", "avi"})
"""Containers whose header holds the number of frames, by the first of FFmpeg's names."""

_UNTIMED_FORMATS = frozenset({"h264", "hevc", "mjpeg", "m4v", "mpegvideo", "vc1", "obu"})
"""Elementary streams: any times that FFmpeg gives for them are made up."""

_DEFAULT_RATE = Fraction(25)
"""Frames per second where a file tells neither times nor rate."""

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
    aperture = None
    if name.startswith("mov"):
        aperture = clean_aperture(Path(container.name), stream.id, width, height)
    if aperture is not None:
        found.append(
            f"the frames of {width}x{height} are cut to the clean aperture of "
            f"{aperture.width}x{aperture.height} that the file names"
        )
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
