"""What a media file says about itself, read once when it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

MediaKind = Literal["video", "image", "animation"]

UNSPECIFIED = "unspecified"


@dataclass(frozen=True)
class MediaInfo:
    """The header of a media file, as its frames will be delivered.

    Attributes:
        path: The file.
        kind: "video", "image" (one picture) or "animation" (GIF, APNG, animated WebP or AVIF).
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
