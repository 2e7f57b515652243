"""What a media file says about itself, read once when it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

MediaKind = Literal["video", "image", "animation", "sequence"]

UNSPECIFIED = "unspecified"


@dataclass(frozen=True)
class MediaInfo:
    """The header of a media file, as its frames will be delivered.

    Attributes:
        path: The file as the user named it; the pattern of a sequence.
        kind: "video", "image" (one picture), "animation" (GIF, APNG, animated WebP or AVIF) or
            "sequence" (numbered pictures).
        width: Width of the delivered frames in pixels, after rotation.
        height: Height of the delivered frames in pixels, after rotation.
        rotation: Degrees clockwise (0, 90, 180 or 270) that the reader turns each frame by.
        mirrored: Whether the reader mirrors each frame left to right before turning it.
        time_base: Seconds per unit of `Frame.pts`, exact.
        timestamps: False where the file holds none, so that times follow from `frame_rate`.
        frame_rate: Frames per second by the header; an average where the rate varies.
        frames_promised: Number of frames by the header, None where it says nothing.
        duration: Seconds by the header, None where it says nothing.
        container: Name of the container format.
        codec: Name of the video or image codec.
        pixel_format: Stored pixel format, in FFmpeg's names ("yuv420p", "gray", "rgb24").
        sample_aspect_ratio: Width of a pixel divided by its height, after rotation.
        colour_range: "limited", "full" or "unspecified".
        colour_primaries: Tag in FFmpeg's names, "unspecified" where there is none.
        colour_transfer: Tag in FFmpeg's names, "unspecified" where there is none.
        colour_matrix: Tag in FFmpeg's names, "unspecified" where there is none.
        audio_streams: Number of audio streams beside the picture.
        bit_depth: Bits per channel as stored; frames are delivered in 8.
        interlaced: Whether the first frame is flagged as interlaced.
        stream: Which of the video streams is read, from 1.
        streams: Number of video streams, cover pictures not counted.
        salvaged: Whether the file could only be read by way of a stream copy.
        salvaged_copy: That copy, which lives until the reader is closed; None where there is none.

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
    interlaced: bool = False
    stream: int = 1
    streams: int = 1
    salvaged: bool = False
    salvaged_copy: Path | None = None
