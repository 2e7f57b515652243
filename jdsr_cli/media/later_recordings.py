"""Where the recordings after the first one in a file are, and when they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from jdsr_cli.media.slices import FileSlice


@dataclass(frozen=True)
class LaterRecording:
    """A recording that follows another one in its file, and is read with it as one video.

    Attributes:
        part: Where it is.
        shift: Seconds added to its times.
        start: Time of its first frame in the video, in seconds.
        audio_streams: Number of its sound tracks.

    """

    part: FileSlice
    shift: Fraction
    start: Fraction
    audio_streams: int
