"""Describe a video by its container, its stream and its first decoded frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from av.container.input import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.media.frames import (
    MATRICES,
    PRIMARIES,
    RANGES,
    TRANSFERS,
    UNSPECIFIED_CODE,
    MediaInfo,
    MediaKind,
    tag_name,
)
from jdsr_cli.media.geometry import (
    UPRIGHT,
    Aperture,
    Orientation,
    from_display_matrix,
    tagged_aspect,
)
from jdsr_cli.media.hdr_metadata import dynamic_metadata, read_metadata, unreadable_colours
from jdsr_cli.media.inputs import ChosenStream
from jdsr_cli.media.reading.isobmff import track_margins
from jdsr_cli.media.reading.matroska import pixel_crop
from jdsr_cli.media.reading.pictures import PictureCount
from jdsr_cli.media.reading.salvage import REMUXED
from jdsr_cli.media.reading.side_data import SideData, side_data_of
from jdsr_cli.media.slices import DataFile
from jdsr_cli.media.tone_mapping import tone_mapping_of
from jdsr_cli.settings import DEFAULT_FRAME_RATE

_COUNTING_FORMATS = frozenset({"mov", "avi"})
"""Containers whose header contains the number of frames, by the first of FFmpeg's names."""

_PLACEHOLDER = 1 << 30
"""Number of frames that an AVI states until its recording is finished."""

_UNTIMED_FORMATS = frozenset({"h264", "hevc", "mjpeg", "m4v", "mpegvideo", "vc1", "obu"})
"""Elementary streams, for which FFmpeg generates times."""


_STATING_END = ("matroska", "asf")
"""Containers that state when they end, by the start of FFmpeg's names; others state the duration
from the first timestamp."""

_MICROSECOND = Fraction(1, 1_000_000)

_PLAUSIBLE_RATES = (1, 240)
"""Frames per second outside of which an average is doubted: hours without a frame lower it, and an
AVI of variable rate states the unit of its times instead."""

_SHALLOW = 8
"""Bits per channel that `Frame.image` holds."""


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
class ColourTags:
    """Codes of the colour tags of a stream or frame (ITU-T H.273)."""

    primaries: int
    transfer: int
    matrix: int

    @classmethod
    def of(cls, tagged: VideoCodecContext | VideoFrame) -> ColourTags:
        """Return the tags of a frame, or those of a container before anything was decoded."""
        return cls(tagged.color_primaries, tagged.color_trc, tagged.colorspace)

    def over(self, others: ColourTags) -> ColourTags:
        """Return these tags, and others for those that are absent."""
        return ColourTags(
            *(
                theirs if own == UNSPECIFIED_CODE else own
                for own, theirs in zip(vars(self).values(), vars(others).values(), strict=True)
            )
        )


@dataclass(frozen=True)
class OpenedVideo:
    """An opened container and the stream that is read.

    Attributes:
        file: The file as given by the user.
        data: What the container is read from: the file, a part of it or a salvaged copy.
        container: The container.
        chosen: The stream that is read.
        animation: Number of pictures, if the file is an animation.
        tags: Colour tags of the container.
        single: Whether it is a still picture.

    """

    file: Path
    data: DataFile
    container: InputContainer
    chosen: ChosenStream
    animation: PictureCount | None
    tags: ColourTags
    single: bool = False


def read_header(opened: OpenedVideo, frame: VideoFrame, frame_rate: Fraction | None) -> Header:
    """Describe a video.

    Args:
        opened: The container and its stream.
        frame: The first decoded frame.
        frame_rate: Frames per second given by the user, for a file without timestamps.

    Raises:
        InputUnreadableError: The colours are stored in a form that cannot be converted to RGB.

    """
    container, stream = opened.container, opened.chosen.stream
    pictures = 0 if opened.animation is None else opened.animation.pictures
    context, name = stream.codec_context, container.format.name
    side_data = side_data_of(frame, context.name)
    orientation, exact = _orientation(frame, side_data)
    found = (
        [] if exact else ["the rotation is not a multiple of 90 degrees; the nearest one is used"]
    )
    if opened.animation is not None:
        found.extend(opened.animation.notes)
    timestamped = frame.pts is not None or frame.dts is not None
    untimed = name in _UNTIMED_FORMATS or (name.endswith("_pipe") and not opened.single)
    timestamps = timestamped and not untimed
    duration = None if name == REMUXED else _duration(opened)
    own_rate = _own_rate(stream)
    if pictures and duration:
        own_rate = pictures / duration
    rate = (own_rate if timestamps else frame_rate or context.framerate or own_rate) or None
    time_base = stream.time_base if timestamps else None
    if not timestamps:
        rate = rate or DEFAULT_FRAME_RATE
        time_base = 1 / rate
        used = "assumed" if frame_rate is None else "used (--fps)"
        found.append(f"the file contains no timestamps; {float(rate):g} frames/s are {used}")
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
    elif opened.single:
        kind = "image"
    counts = name.split(",")[0] in _COUNTING_FORMATS and stream.frames < _PLACEHOLDER
    promised = pictures or (stream.frames if counts else 0)
    # The decoder may have replaced the tags of the container by absent ones of the stream.
    tags = ColourTags.of(frame).over(opened.tags)
    mastering_display, content_light = read_metadata(side_data or {})
    found += [f"the metadata of {name} are not used" for name in dynamic_metadata(side_data or {})]
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
        colour_primaries=tag_name(PRIMARIES, tags.primaries),
        colour_transfer=tag_name(TRANSFERS, tags.transfer),
        colour_matrix=tag_name(MATRICES, tags.matrix),
        audio_streams=len(container.streams.audio),
        bit_depth=bit_depth(frame),
        mastering_display=mastering_display,
        content_light=content_light,
        interlaced=kind == "video" and bool(frame.interlaced_frame),
        stream=opened.chosen.number,
        streams=opened.chosen.count,
    )
    unreadable = unreadable_colours(
        side_data or {}, context.codec_tag, info.colour_transfer, info.colour_matrix
    )
    if unreadable is not None:
        raise InputUnreadableError(
            f"the colours are stored as {unreadable}, which cannot be converted to RGB",
            where=opened.file,
            hint="Convert the file to HDR10 or SDR first, for example by FFmpeg's libplacebo.",
        )
    if kind in ("video", "animation"):
        mapped = tone_mapping_of(info) is not None
        info = replace(info, deep=mapped or info.bit_depth > _SHALLOW)
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
        margins = track_margins(file, stream.id)
    return None if margins is None else margins.aperture(frame.width, frame.height)


def _orientation(frame: VideoFrame, side_data: SideData | None) -> tuple[Orientation, bool]:
    """Return the orientation, and whether it is exactly a multiple of 90 degrees."""
    if side_data is None:
        turned = -frame.rotation
        return Orientation(round(turned / 90) % 4 * 90), turned % 90 == 0
    if not frame.rotation and SideDataType.DISPLAYMATRIX not in side_data:
        return UPRIGHT, True
    return from_display_matrix(bytes(side_data[SideDataType.DISPLAYMATRIX]))


def _own_rate(stream: VideoStream) -> Fraction | None:
    """Return the frames per second of a stream, None if unknown.

    It is the average, or the rate that FFmpeg found in the first times where that is plausible and
    the average is not.
    """
    average, found = stream.average_rate, stream.guessed_rate
    low, high = _PLAUSIBLE_RATES
    if average and found and not low <= average <= high and low <= found <= high:
        return found
    return average or found or stream.codec_context.framerate


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
    if any(stream.frames >= _PLACEHOLDER for stream in container.streams.video):
        return None
    states_end = container.format.name.startswith(_STATING_END)
    start = 0 if states_end else container.start_time or 0
    return (start + total) * _MICROSECOND
