"""Frames and media headers, and conversion between stored YUV and RGB.

A matrix that is not tagged is chosen by size, as video players do: BT.709 from HD sizes up, BT.601
below; that of BT.2020 with PQ, HLG or its primaries. The matrix used for reading is also used and
tagged by the writer, so that colours are preserved even where the enlarged size would lead to
another choice.
Sources: ITU-T H.273 for the codes, BT.601-7, BT.709-6 and BT.2020-2 for the matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation
from numpy.typing import NDArray

from jdsr_cli.media.exif import PictureExif
from jdsr_cli.media.slices import FileSlice

MediaKind = Literal["video", "image", "animation", "sequence"]

UNSPECIFIED = "unspecified"


@dataclass(frozen=True)
class MediaInfo:
    """The header of a media file; sizes are those of the frames as they are delivered.

    Attributes:
        path: The file as given by the user, or the pattern of a sequence.
        kind: "video", "image" (one picture), "animation" (GIF, APNG, animated WebP or AVIF) or
            "sequence" (numbered pictures).
        width: Width of the delivered frames in pixels, after rotation.
        height: Height of the delivered frames in pixels, after rotation.
        rotation: Degrees clockwise (0, 90, 180 or 270) by which the reader rotates each frame.
        mirrored: Whether the reader mirrors each frame left to right before rotating it.
        time_base: Seconds per unit of `Frame.pts`, exact.
        timestamps: Whether the file contains timestamps; if not, times follow from `frame_rate`.
        frame_rate: Frames per second by the header; an average if the rate varies.
        frames_promised: Number of frames stated by the header, None if it states none.
        duration: Seconds stated by the header, None if it states none.
        container: Name of the container format.
        codec: Name of the video or image codec.
        pixel_format: Stored pixel format, in FFmpeg's names ("yuv420p", "gray", "rgb24").
        sample_aspect_ratio: Width of a pixel divided by its height, after rotation.
        colour_range: "limited", "full" or "unspecified".
        colour_primaries: Tag in FFmpeg's names, "unspecified" if there is none.
        colour_transfer: Tag in FFmpeg's names, "unspecified" if there is none.
        colour_matrix: Tag in FFmpeg's names, "unspecified" if there is none.
        audio_streams: Number of audio streams.
        bit_depth: Bits per channel as stored.
        deep: Whether frames are delivered in the stored colours with 16 bits too, see `Frame.deep`.
        mastering_display: Mastering display of HDR, see `hdr_metadata`; None if none is stated.
        content_light: "MaxCLL,MaxFALL" of HDR in cd/m2; None if none is stated.
        interlaced: Whether the first frame is flagged as interlaced.
        stream: Number of the video stream that is read, from 1.
        streams: Number of video streams, without cover pictures.
        salvaged: Whether the file could only be read through a salvaged stream copy.
        salvaged_copy: Path of that copy, which exists until the reader is closed; None if there is
            none.
        recording: The part of the file that holds the recording whose header this is; None if that
            is the whole file.

    """

    path: Path
    kind: MediaKind
    width: int
    height: int
    rotation: int
    mirrored: bool
    time_base: Fraction
    timestamps: bool
    frame_rate: Fraction | None
    frames_promised: int | None
    duration: Fraction | None
    container: str
    codec: str
    pixel_format: str
    sample_aspect_ratio: Fraction
    colour_range: str
    colour_primaries: str
    colour_transfer: str
    colour_matrix: str
    audio_streams: int
    bit_depth: int = 8
    deep: bool = False
    mastering_display: str | None = None
    content_light: str | None = None
    interlaced: bool = False
    stream: int = 1
    streams: int = 1
    salvaged: bool = False
    salvaged_copy: Path | None = None
    recording: FileSlice | None = None


Image = NDArray[np.uint8]
"""A picture: uint8 RGB, shape (height, width, 3), full range 0 to 255."""

DeepImage = NDArray[np.uint16]
"""A picture in the colours of its file: uint16 RGB, (height, width, 3), full range 0 to 65535."""

Pixels = TypeVar("Pixels", Image, DeepImage)


@dataclass(frozen=True)
class Frame:
    """A frame of a video, or the only frame of a still picture.

    Attributes:
        index: Position in the file, from 0, without gaps. It counts from the start of the file:
            if only a part is read (a trim), the first frame delivered has a higher index.
        pts: Presentation time in units of `time_base`; strictly increasing within a file.
        time_base: Seconds per unit of `pts`, exact.
        image: uint8 RGB, shape (height, width, 3), rotation already applied; HDR and wide-gamut
            video is converted to sRGB, see `tone_mapping`.
        deep: Convert the same frame to uint16 RGB with its own primaries and transfer function;
            None unless `MediaInfo.deep`.

    """

    index: int
    pts: int
    time_base: Fraction
    image: Image
    deep: Callable[[], DeepImage] | None = None

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds, exact."""
        return self.pts * self.time_base


@dataclass(frozen=True)
class PendingFrame:
    """A frame that is decoded and has its time, but is not yet converted to RGB.

    Attributes:
        index: As in `Frame`.
        pts: As in `Frame`.
        time_base: As in `Frame`.
        render: Convert the frame to RGB; not called for frames that are skipped.
        deep: As in `Frame`.

    """

    index: int
    pts: int
    time_base: Fraction
    render: Callable[[], Image]
    deep: Callable[[], DeepImage] | None = None

    def frame(self) -> Frame:
        """Return the finished frame."""
        return Frame(self.index, self.pts, self.time_base, self.render(), self.deep)


class Source(Protocol):
    """An opened input."""

    @property
    def info(self) -> MediaInfo:
        """Header of the input."""

    @property
    def corrupt(self) -> int:
        """Number of delivered frames that the decoder marked as damaged."""

    @property
    def skipped(self) -> int:
        """Number of packets or pictures so far that could not be decoded at all."""

    @property
    def exif(self) -> PictureExif | None:
        """EXIF of a still picture, None if there is none."""

    def frames(self) -> Iterator[PendingFrame]:
        """Yield the frames in order of time; call it once."""

    def warnings(self) -> list[str]:
        """Return one sentence for each problem found so far."""

    def unread(self) -> list[str]:
        """Return those warnings that name bytes of the file which were not read."""

    def close(self) -> None:
        """Close the input."""


def resized_warning(count: int) -> str:
    """Return the warning that frames were resized to the size of the first."""
    return f"{count} frames have another size than the first; resized to it, proportions kept"


def reshaped_warning(count: int) -> str:
    """Return the warning that frames were resized to the proportions of the first."""
    return (
        f"{count} frames have another pixel aspect ratio than the first; resized to its, "
        "proportions kept"
    )


def depth_warning(bits: int) -> str:
    """Return the warning that a still picture of more than 8 bits per channel is processed in 8."""
    return f"the picture has {bits} bits per channel; it is processed in 8"


RANGES: Final = {0: UNSPECIFIED, 1: "limited", 2: "full"}
PRIMARIES: Final = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film",
    9: "bt2020", 10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
TRANSFERS: Final = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear",
    9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1",
    14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
MATRICES: Final = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco",
    9: "bt2020nc", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc",
    13: "chroma-derived-c", 14: "ictcp", 15: "ipt-c2", 16: "ycgco-re", 17: "ycgco-ro",
}  # fmt: skip

TRANSPARENT_NOTE = "transparent parts are shown on gray"
BACKDROP = 128
"""Value of the gray behind transparent parts, halfway between black and white."""

READ_BEYOND = 256
"""Values of memory that can be read behind the pixels of a frame, more than any converter reads."""

UNSPECIFIED_CODE = 2
"""Code of an absent tag in primaries, transfer and matrix (in the range it is 0)."""

_HD_LONG_SIDE, _HD_SHORT_SIDE = 1280, 576
"""Pixels: untagged pictures with a longer side of at least the first, or a shorter side above the
second, are taken as BT.709."""

_CONVERTERS: Final = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""Matrix code to PyAV's colour space."""

EXACT = int(
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


def tag_name(table: dict[int, str], code: int) -> str:
    """Return FFmpeg's name of a tag, "unspecified" for an absent or unknown one."""
    return table.get(int(code), UNSPECIFIED)


def tag_code(table: dict[int, str], name: str) -> int:
    """Return the code of a tag by its name."""
    codes = {text: code for code, text in table.items()}
    return codes.get(name, UNSPECIFIED_CODE)


def matrix_in_use(info: MediaInfo) -> int:
    """Return the code of the matrix with which the file is read and its copy is written."""
    if av.VideoFormat(info.pixel_format).is_rgb:
        return 1
    code = tag_code(MATRICES, info.colour_matrix)
    if code in _CONVERTERS:
        return code
    if info.colour_primaries == "bt2020" or info.colour_transfer in ("smpte2084", "arib-std-b67"):
        return 9
    sides = sorted((info.width, info.height))
    return 1 if sides[1] >= _HD_LONG_SIDE or sides[0] > _HD_SHORT_SIDE else 6


@dataclass(frozen=True)
class RgbPicture:
    """A frame that was converted to RGB.

    Attributes:
        image: uint8 RGB (height, width, 3).
        transparent: Whether a part of it was transparent, and is composited over gray.

    """

    image: Image
    transparent: bool


def to_rgb(frame: VideoFrame, matrix: int, width: int, height: int) -> RgbPicture:
    """Convert a decoded frame to RGB; transparent parts are composited over gray.

    Args:
        frame: The decoded frame, of any pixel format.
        matrix: Code from `matrix_in_use`.
        width: Width of the result in pixels; the frame is resized if it has another.
        height: Height of the result in pixels.

    """
    has_alpha = is_transparent(frame.format.name)
    converted = frame.reformat(
        width=width,
        height=height,
        format="rgba" if has_alpha else "rgb24",
        src_colorspace=None if frame.format.is_rgb else _CONVERTERS[matrix],
        interpolation=EXACT,
    )
    array = np.asarray(converted.to_ndarray(), dtype=np.uint8)
    if not has_alpha:
        return RgbPicture(array, transparent=False)
    if bool((array[..., 3] == 255).all()):
        return RgbPicture(np.ascontiguousarray(array[..., :3]), transparent=False)
    return RgbPicture(over_gray(array), transparent=True)


@lru_cache
def is_transparent(pixel_format: str) -> bool:
    """Whether a pixel format has transparency."""
    layout = av.VideoFormat(pixel_format)
    return layout.has_palette or any(part.is_alpha for part in layout.components)


_STRIP = 1 << 20
"""Pixels that are composited at a time."""


def over_gray(rgba: Image) -> Image:
    """Composite uint8 RGBA (height, width, 4) over mid gray; return RGB (height, width, 3)."""
    result = np.empty((*rgba.shape[:2], 3), np.uint8)
    rows = max(1, _STRIP // max(1, rgba.shape[1]))
    # In strips: of a large picture the sums would take twelve bytes a pixel, several times.
    for top in range(0, len(rgba), rows):
        strip = rgba[top : top + rows]
        alpha = strip[..., 3:].astype(np.uint32)
        total = strip[..., :3] * alpha + BACKDROP * (255 - alpha)
        result[top : top + rows] = (total + 127) // 255
    return result


def frame_of(image: Image | DeepImage, pixel_format: str) -> VideoFrame:
    """Return a frame with a copy of these pixels, behind which memory can be read.

    FFmpeg's converters read whole registers, up to 64 bytes beyond the last row if the width is not
    a multiple of theirs. An array may end at the end of mapped memory.

    Args:
        image: RGB (height, width, 3), uint8 or uint16.
        pixel_format: "rgb24" or "rgb48le".

    """
    pixels = np.empty(image.size + READ_BEYOND, image.dtype)[: image.size].reshape(image.shape)
    pixels[...] = image
    return VideoFrame.from_numpy_buffer(pixels, format=pixel_format)


def from_rgb(image: Image, pixel_format: str, matrix: int, *, full_range: bool) -> VideoFrame:
    """Convert RGB (height, width, 3) to a frame of `pixel_format` with the matrix of that code.

    For an RGB pixel format only the order of the channels changes.
    """
    frame = frame_of(image, "rgb24")
    if av.VideoFormat(pixel_format).is_rgb:
        return frame.reformat(format=pixel_format)
    return frame.reformat(
        format=pixel_format,
        dst_colorspace=_CONVERTERS[matrix],
        dst_color_range=2 if full_range else 1,
        interpolation=EXACT,
    )
