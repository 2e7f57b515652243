"""Which encoder, pixel format and container an output gets."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av

from jdsr_cli.errors import UsageError
from jdsr_cli.media.info import MediaInfo

CRF_DEFAULT = 18
"""Constant rate factor at which the eye sees no loss."""

_CRF_LIMIT = 51
_QSCALE_PER_CRF = Fraction(1, 6)
"""MPEG-4 part 2 and Motion JPEG have quantisers 1 to 31: CRF 18 is taken as 3."""

_LAMBDA = 118
"""FFmpeg's FF_QP2LAMBDA, the unit of `global_quality`."""

_MPEG4_DENOMINATOR_LIMIT = 65535
"""MPEG-4 part 2 stores times in 16 bits; finer time bases it cannot keep."""

_CONTAINERS = {"mp4": ".mp4", "mov": ".mov"}
"""Containers in order of choice. Both keep any rational time; Matroska would round it to 1 ms."""


@dataclass(frozen=True)
class Encoding:
    """How frames are stored.

    Attributes:
        codec: Name of the codec ("h264").
        encoder: Name of FFmpeg's encoder for it ("libx264").
        pixel_format: Stored pixel format.
        full_range: Whether stored values use the full range.
        options: Options of the encoder.

    """

    codec: str
    encoder: str
    pixel_format: str
    full_range: bool
    options: dict[str, str]

    @property
    def subsampled(self) -> bool:
        """Whether width and height have to be even."""
        return self.pixel_format in ("yuv420p", "yuvj420p")


_ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "ffv1": "ffv1",
    "mpeg4": "mpeg4",
    "mjpeg": "mjpeg",
}
CODECS = ("h264", "hevc", "ffv1", "source")
"""What a user can ask for; "source" is the input's codec where it can be written."""


def choose_encoding(codec: str, source: MediaInfo, crf: int) -> tuple[Encoding, list[str]]:
    """Choose how to store frames made from `source`.

    Args:
        codec: One of `CODECS`. "ffv1" is lossless, to the bit.
        source: Where the frames come from; a YUV source keeps its range.
        crf: Quality of a lossy codec: 0 (best) to 51, 18 looks like the original.

    Returns:
        The encoding, and a sentence for each wish that could not be met.

    Raises:
        UsageError: Unknown codec, `crf` out of range, or no encoder in this FFmpeg.

    """
    if codec not in CODECS:
        raise UsageError(
            f"unknown codec '{codec}'", where="codec", hint=f"Choose from {', '.join(CODECS)}."
        )
    if not 0 <= crf <= _CRF_LIMIT:
        raise UsageError(f"crf {crf} is out of range", where="crf", hint="Choose from 0 to 51.")
    notes: list[str] = []
    if codec == "source":
        codec = source.codec
        unkept = codec == "mpeg4" and source.time_base.denominator > _MPEG4_DENOMINATOR_LIMIT
        if codec not in _ENCODERS or unkept:
            notes.append(f"the input's codec {codec} cannot be written here; H.264 is used")
            codec = "h264"
    encoder = _ENCODERS[codec]
    if encoder not in av.codecs_available:
        raise UsageError(
            f"this FFmpeg has no encoder {encoder}", where="codec", hint="Choose another codec."
        )
    rgb = av.VideoFormat(source.pixel_format).is_rgb
    full_range = source.colour_range == "full" and not rgb
    return _settings(codec, encoder, crf, full_range=full_range), notes


def _settings(codec: str, encoder: str, crf: int, *, full_range: bool) -> Encoding:
    if codec == "ffv1":
        options = {"level": "3", "slicecrc": "1"}
        return Encoding(codec, encoder, "bgr0", full_range=True, options=options)
    if codec in ("mpeg4", "mjpeg"):
        quantiser = max(1, round(crf * _QSCALE_PER_CRF))
        options = {"flags": "+qscale", "global_quality": str(quantiser * _LAMBDA)}
        if codec == "mjpeg":
            return Encoding(codec, encoder, "yuvj420p", full_range=True, options=options)
        return Encoding(codec, encoder, "yuv420p", full_range=False, options=options)
    options = {"crf": str(crf), "preset": "fast"}
    if codec == "hevc":
        options["x265-params"] = "log-level=none"
    return Encoding(codec, encoder, "yuv420p", full_range=full_range, options=options)


@lru_cache
def _storable(container: str) -> frozenset[str]:
    with av.open(io.BytesIO(), mode="w", format=container) as output:
        return frozenset(output.supported_codecs)


def can_store(container: str, codec: str) -> bool:
    """Whether a container ("mp4" or "mov") can hold a stream of that codec."""
    return codec in _storable(container)


def choose_container(encoding: Encoding, audio_codecs: Iterable[str]) -> str:
    """Return the container that holds the video and most of the audio; MP4 where both do."""
    audio = list(audio_codecs)
    fitting = [name for name in _CONTAINERS if can_store(name, encoding.encoder)]
    return max(fitting, key=lambda name: sum(can_store(name, codec) for codec in audio))


def final_name(path: Path, container: str) -> Path:
    """Return `path` with the suffix of the container (an .mp4 or .m4v is left to MP4 as is)."""
    suffix = path.suffix.lower()
    if container == "mp4" and suffix in (".mp4", ".m4v"):
        return path
    return path if suffix == _CONTAINERS[container] else path.with_suffix(_CONTAINERS[container])


def movie_timescale(time_base: Fraction, sample_rates: Iterable[int]) -> int:
    """Return ticks per second in which MP4 edit lists express every start exactly."""
    video = time_base.denominator
    common = math.lcm(video, *[rate for rate in sample_rates if rate > 0])
    largest = 2**31 - 1
    if common > largest:
        common = video
    return min(common, largest)
