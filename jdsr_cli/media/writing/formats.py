"""Choose the codec, pixel format, quality and container of an output."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import cast, get_args

import av
from av.video.codeccontext import VideoCodecContext

from jdsr_cli.errors import DeviceError, UsageError
from jdsr_cli.media.frames import PRIMARIES, TRANSFERS, MediaInfo, matrix_in_use, tag_code
from jdsr_cli.media.writing.time_bases import MILLISECONDS
from jdsr_cli.settings import DEFAULT_FRAME_RATE, Codec

DEFAULT_CRF = {"h264": 18.5, "hevc": 18, "av1": 21, "mpeg4": 18, "mjpeg": 18}
"""Constant rate factor without visible loss. The first three were set to about the same PSNR of
luma: 44.2 to 45.4 dB on a street scene of 640x360, 47.5 to 48.3 dB on the same scene enlarged
twice."""

_CRF_LIMITS = {"av1": 63}
_CRF_LIMIT = 51
"""Largest constant rate factor: 63 for AV1, 51 for the others."""

_QSCALE_PER_CRF = Fraction(1, 6)
"""MPEG-4 part 2 and Motion JPEG have quantisers 1 to 31: CRF 18 is mapped to 3."""

_PRESETS = {"h264": "ultrafast", "hevc": "fast"}
"""Presets of x264 and x265.

Enlarged frames hold no detail that the motion search of slower presets could use. For x264,
`_X264_TOOLS` turns on again what saves most. On five clips enlarged two to four times (24 frames of
each) that takes 0.17 times the CPU time of `fast` with 20, and 0.66 times that of `superfast` with
18.5. The mean PSNR of luma is 0.2 dB less than with either (51.1 dB; by clip 1.1 less to 0.1 more),
the files are 9 % larger than those of `fast` and 10 % smaller than those of `superfast`.
"""

_X264_TOOLS = "cabac=1:no-deblock=0:bframes=3:b-adapt=0"
"""Arithmetic coding, the deblocking filter, and three B frames in a row: `ultrafast` takes a fifth
less time without them, and its files are 1.6 times as large."""

_LAMBDA = 118
"""FFmpeg's FF_QP2LAMBDA, the unit of `global_quality`."""

_H264_THREADS = 2
"""Encoder threads of H.264, which write 75 frames of 2560x1440 in a second. Their number changes
the bytes, so it does not depend on the machine. Each holds frames, 100 MB at 3840x2160."""

_HEVC_FRAME_THREADS = 3
"""Frames that x265 encodes in parallel. Their number changes the bytes; that of its workers does
not."""

_FFV1_SLICES = 4
"""Slices of an FFV1 frame, each with a checksum; the default depends on the machine."""

_NVENC = {"h264_nvenc": "h264", "hevc_nvenc": "hevc", "av1_nvenc": "av1"}
"""Encoders of NVIDIA GPUs, and their codecs."""

MIN_SIDES = {"libx265": 16, "libsvtav1": 32, **dict.fromkeys(_NVENC, 160)}
"""Pixels by encoder. x265 refuses less than 16; SVT-AV1 4.1 hangs at some sizes below 32; NVENC
refuses less than 145 x 49 (H.264), 129 x 33 (HEVC) or 160 x 64 (AV1)."""

_RATE_LIMITS = (Fraction(1), Fraction(240))
"""Frames per second that every encoder accepts; a header may state 90,000."""

_MPEG4_RATE_LIMIT = 65535
"""MPEG-4 part 2 stores the numerator of the rate in 16 bits."""


@dataclass(frozen=True)
class Encoding:
    """Codec, encoder and pixel format of an output.

    Attributes:
        codec: Name of the codec ("h264").
        encoder: Name of FFmpeg's encoder for it ("libx264").
        pixel_format: Stored pixel format.
        options: Options of the encoder.

    """

    codec: str
    encoder: str
    pixel_format: str
    options: dict[str, str]

    @property
    def subsampled(self) -> bool:
        """Whether width and height must be even."""
        return self.pixel_format in ("yuv420p", "yuvj420p")


_ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "ffv1": "ffv1",
    "mpeg4": "mpeg4",
    "mjpeg": "mjpeg",
}
_READ_AS = {"libdav1d": "av1", "libaom-av1": "av1"}
"""Names of decoders that differ from the codec."""

CODECS: tuple[str, ...] = get_args(Codec)
"""Values of the option; "source" is the codec of the input if it can be written."""


def choose_encoding(
    codec: str, source: MediaInfo, crf: int | None = None
) -> tuple[Encoding, list[str]]:
    """Choose how to store frames that were computed from `source`.

    Args:
        codec: One of `CODECS`. "ffv1" is lossless, to the bit.
        source: Header of the input.
        crf: Quality of a lossy codec: 0 (best) to 51, for AV1 to 63. None uses `DEFAULT_CRF`,
            which is visually lossless.

    Returns:
        The encoding, and a sentence for each option that could not be applied.

    Raises:
        UsageError: The codec is unknown, `crf` is out of range, or this FFmpeg has no encoder.
        DeviceError: The encoder needs a GPU that this machine does not have.

    """
    if codec not in CODECS:
        raise UsageError(
            f"unknown codec '{codec}'", where="codec", hint=f"Choose from {', '.join(CODECS)}."
        )
    if codec in _NVENC:
        return _hardware_encoding(codec, crf), []
    notes: list[str] = []
    if codec == "source":
        codec = _READ_AS.get(source.codec, source.codec)
        if codec not in _ENCODERS:
            notes.append(f"the input's codec {codec} cannot be written here; H.264 is used")
            codec = "h264"
    _check_crf(codec, crf)
    encoder = _ENCODERS[codec]
    if encoder not in av.codecs_available:
        raise UsageError(
            f"this FFmpeg has no encoder {encoder}", where="codec", hint="Choose another codec."
        )
    return _settings(codec, DEFAULT_CRF.get(codec, 0) if crf is None else crf), notes


def _check_crf(codec: str, crf: int | None) -> None:
    limit = _CRF_LIMITS.get(codec, _CRF_LIMIT)
    if crf is not None and not 0 <= crf <= limit:
        raise UsageError(
            f"crf {crf} is out of range for {codec}", where="crf", hint=f"Choose from 0 to {limit}."
        )


def _hardware_encoding(encoder: str, crf: int | None) -> Encoding:
    """Return how an NVIDIA GPU encodes with the constant quality that is nearest to a CRF."""
    codec = _NVENC[encoder]
    _check_crf(codec, crf)
    fault = hardware_fault(encoder)
    if fault is not None:
        raise DeviceError(
            f"no video can be encoded by {encoder}: {fault}",
            where="codec",
            hint=f"Choose {codec}, which is encoded by software.",
        )
    quality = DEFAULT_CRF[codec] if crf is None else crf
    options = {"preset": "p4", "rc": "vbr", "cq": f"{quality:g}", "b": "0"}
    return Encoding(codec, encoder, "yuv420p", options)


@lru_cache
def hardware_fault(encoder: str) -> str | None:
    """Return why an encoder of a GPU cannot be used on this machine, None if it can."""
    if encoder not in av.codecs_available:
        return "this FFmpeg is built without it"
    context = cast(VideoCodecContext, av.CodecContext.create(encoder, "w"))
    context.width = context.height = 2 * MIN_SIDES[encoder]
    context.pix_fmt = "yuv420p"
    context.framerate = DEFAULT_FRAME_RATE
    context.time_base = 1 / DEFAULT_FRAME_RATE
    try:
        context.open()
    except (av.FFmpegError, OSError) as exc:
        return f"no NVIDIA GPU with such an encoder can be opened ({exc.strerror})"
    return None


def _settings(codec: str, crf: float) -> Encoding:
    encoder = _ENCODERS[codec]
    if codec == "ffv1":
        options = {"level": "3", "slicecrc": "1", "slices": str(_FFV1_SLICES)}
        return Encoding(codec, encoder, "bgr0", options)
    if codec in ("mpeg4", "mjpeg"):
        quantiser = max(1, round(crf * _QSCALE_PER_CRF))
        options = {"flags": "+qscale", "global_quality": str(quantiser * _LAMBDA)}
        return Encoding(codec, encoder, "yuvj420p" if codec == "mjpeg" else "yuv420p", options)
    if codec == "av1":
        # SVT-AV1 writes to stderr unless this variable is set.
        os.environ.setdefault("SVT_LOG", "1")
        return Encoding(codec, encoder, "yuv420p", {"crf": str(crf), "preset": "8"})
    options = {"crf": str(crf), "preset": _PRESETS[codec]}
    if codec == "hevc":
        options["x265-params"] = f"log-level=none:frame-threads={_HEVC_FRAME_THREADS}"
    else:
        # With the macroblock tree, x264 gave other bytes in every third run of the same frames.
        # A lookahead in a thread of its own would only hold more frames.
        options["x264-params"] = f"no-mbtree=1:sync-lookahead=0:{_X264_TOOLS}"
    return Encoding(codec, encoder, "yuv420p", options)


def encoder_threads(encoding: Encoding) -> int | None:
    """Return the number of threads of an encoder; None for its default."""
    return _H264_THREADS if encoding.encoder == "libx264" else None


def encoder_of(codec: str) -> str:
    """Return FFmpeg's name of the encoder for a codec."""
    return _ENCODERS.get(codec, codec)


def stored_full_range(codec: str, source: MediaInfo) -> bool:
    """Whether the frames of an output are stored in full range; YUV keeps the source's range."""
    if codec in ("ffv1", "mjpeg"):
        return True
    rgb = av.VideoFormat(source.pixel_format).is_rgb
    return codec != "mpeg4" and source.colour_range == "full" and not rgb


def tag_picture(context: VideoCodecContext, codec: str, source: MediaInfo) -> None:
    """Set the pixel aspect and the colour tags of the source on a stream that is written."""
    context.sample_aspect_ratio = source.sample_aspect_ratio
    context.color_range = 2 if stored_full_range(codec, source) else 1
    context.colorspace = 0 if codec == "ffv1" else matrix_in_use(source)
    context.color_primaries = tag_code(PRIMARIES, source.colour_primaries)
    context.color_trc = tag_code(TRANSFERS, source.colour_transfer)


def nominal_rate(source: MediaInfo) -> Fraction:
    """Return the frames per second for the encoder's rate control, within what it accepts."""
    low, high = _RATE_LIMITS
    rate = min(max(source.frame_rate or DEFAULT_FRAME_RATE, low), high).limit_denominator(1001)
    return rate if rate.numerator <= _MPEG4_RATE_LIMIT else Fraction(round(rate))


_SUFFIXES = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv"}
"""Containers in order of preference. The first two keep any rational time, Matroska only 1 ms."""


@dataclass(frozen=True)
class TrackKind:
    """Properties of a track that decide whether a container can hold it.

    Attributes:
        type: "audio", "subtitle", "video", "data" or "attachment".
        codec: Name of the codec.
        time_base: Seconds per unit of its times.
        sample_rate: Samples per second of sound, 0 for other types.

    """

    type: str
    codec: str
    time_base: Fraction
    sample_rate: int = 0


@lru_cache
def _storable(container: str) -> frozenset[str]:
    with av.open(io.BytesIO(), mode="w", format=container) as output:
        return frozenset(output.supported_codecs)


def can_store(container: str, codec: str) -> bool:
    """Whether a container ("mp4", "mov" or "matroska") can hold a stream of a codec."""
    return codec in _storable(container)


def choose_container(encoder: str, time_base: Fraction, tracks: Sequence[TrackKind]) -> str:
    """Return the container that can store the video and most of the sound and subtitles.

    MP4 if it can hold all of them, otherwise QuickTime. Matroska only if it keeps subtitles that
    would be lost otherwise, can hold all sound, and rounds no time.

    Args:
        encoder: FFmpeg's name of the video's encoder.
        time_base: Seconds per unit of the video's times.
        tracks: The sound and subtitles.

    """

    def count_storable(name: str, kind: str) -> int:
        return sum(can_store(name, track.codec) for track in tracks if track.type == kind)

    fitting = [name for name in ("mp4", "mov") if can_store(name, encoder)]
    best = max(
        fitting, key=lambda name: (count_storable(name, "audio"), count_storable(name, "subtitle"))
    )
    times = [time_base, *(track.time_base for track in tracks)]
    exact = all((time * MILLISECONDS).denominator == 1 for time in times)
    if (
        exact
        and can_store("matroska", encoder)
        and count_storable("matroska", "subtitle") > count_storable(best, "subtitle")
        and count_storable("matroska", "audio") == sum(track.type == "audio" for track in tracks)
    ):
        return "matroska"
    return best


def final_name(path: Path, container: str) -> Path:
    """Return `path` with the suffix of the container (.mp4 and .m4v are both kept for MP4)."""
    suffix = path.suffix.lower()
    if container == "mp4" and suffix in (".mp4", ".m4v"):
        return path
    return path if suffix == _SUFFIXES[container] else path.with_suffix(_SUFFIXES[container])
