"""Options of reading an input."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from jdsr_cli.errors import UsageError
from jdsr_cli.settings.options import Option, Settings

Deinterlacing = Literal["auto", "on", "off"]
Decoder = Literal["software", "auto", "cuda", "videotoolbox", "d3d11va", "vaapi", "qsv"]
DEFAULT_FRAME_RATE = Fraction(25)
"""Frames per second of an input that neither has timestamps nor states a rate."""
DEFAULT_MEGAPIXELS = 135
"""Millions of pixels of the largest picture that is decoded: video of 15360x8640 pixels (16K) and
photographs of cameras and telephones up to 108 megapixels have fewer."""


def parse_number(text: str) -> Fraction:
    """Read a number exactly: 25, 29.97 or 30000/1001."""
    return Fraction(text)


def parse_time(text: str) -> Fraction:
    """Read a time in seconds from seconds, m:s or h:m:s."""
    total = Fraction(0)
    for part in text.split(":"):
        total = 60 * total + parse_number(part)
    return total


def parse_aspect(text: str) -> Fraction:
    """Read an aspect ratio: 16:9, 4:3 or 2.35."""
    width, _, height = text.partition(":")
    return parse_number(width) / parse_number(height or "1")


@dataclass(frozen=True)
class ReadSettings(Settings):
    """How an input is read; by default everything is read as the file describes itself.

    Examples:
        >>> from jdsr_cli import ReadSettings
        >>> reading = ReadSettings(start="1:30", end=120, aspect="16:9")
        >>> reading.start, reading.trims
        (Fraction(90, 1), True)

    """

    frame_rate: Annotated[
        Fraction | None,
        Option(
            "Frame rate of an input without timestamps (raw .h264, an image sequence); files with "
            "timestamps keep theirs.",
            group="reading", name="fps", metavar="RATE", unit="frames/s", above=0, high=1000,
            unset=f"that of the file, or {DEFAULT_FRAME_RATE}",
            parse=parse_number, form="a number such as 25, 29.97 or 30000/1001",
        ),
    ] = None  # fmt: skip
    stream: Annotated[
        int | None,
        Option(
            "Which of several video streams is read, counted from 1; the first by default.",
            group="reading", metavar="N", low=1,
        ),
    ] = None  # fmt: skip
    start: Annotated[
        Fraction | None,
        Option(
            "Leave out the frames before this time after the first frame (s, m:s, h:m:s).",
            group="reading", metavar="TIME", unit="s", low=0,
            parse=parse_time, form="a time such as 90, 1:30 or 0:01:30",
        ),
    ] = None  # fmt: skip
    end: Annotated[
        Fraction | None,
        Option(
            "Leave out the frames from this time after the first frame on (s, m:s, h:m:s).",
            group="reading", metavar="TIME", unit="s", above=0,
            parse=parse_time, form="a time such as 90, 1:30 or 0:01:30",
        ),
    ] = None  # fmt: skip
    deinterlace: Annotated[
        Deinterlacing,
        Option(
            "Which frames of videos are deinterlaced. auto: those that are flagged as interlaced.",
            group="reading",
        ),
    ] = "auto"
    aspect: Annotated[
        Fraction | None,
        Option(
            "Aspect ratio of the whole displayed picture, where the file does not state it or "
            "states a wrong one.",
            group="reading", metavar="W:H", low=0.125, high=8,
            parse=parse_aspect, form="a ratio such as 16:9 or 2.35",
        ),
    ] = None  # fmt: skip
    decoder: Annotated[
        Decoder,
        Option(
            "What decodes videos: software, a hardware device of this name (an error where it is "
            "missing), or the first device that is available (auto).",
            group="reading",
        ),
    ] = "software"

    max_megapixels: Annotated[
        float,
        Option(
            "Refuse pictures and frames of videos with more pixels than this, which need much "
            "memory, and animations with more than 100 times as many in all their pictures.",
            group="reading", metavar="N", unit="million pixels", above=0, high=4000,
        ),
    ] = DEFAULT_MEGAPIXELS  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.end is not None and self.end <= (self.start or 0):
            raise UsageError(
                f"no frame is left before {float(self.end):g} s",
                where="--end",
                hint="Give a time after the start.",
            )

    @property
    def trims(self) -> bool:
        """Whether a part of the input is left out."""
        return bool(self.start) or self.end is not None

    @property
    def max_pixels(self) -> int:
        """Number of pixels of the largest picture that is decoded."""
        return round(self.max_megapixels * 1_000_000)
