"""Choose the codec, pixel format and quality of an output."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import cast, get_args

import av
from av.video.codeccontext import VideoCodecContext

from jdsr_cli.errors import DeviceError, UsageError
from jdsr_cli.media.frames import PRIMARIES, TRANSFERS, MediaInfo, matrix_in_use, tag_code
from jdsr_cli.media.hdr_metadata import encoder_parameters
from jdsr_cli.media.tone_mapping import sdr_header
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

_PARAMETER_OPTIONS = {
    "libx264": "x264-params",
    "libx265": "x265-params",
    "libsvtav1": "svtav1-params",
}
"""Options that pass parameters on to the libraries."""

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
        return self.pixel_format in ("yuv420p", "yuvj420p", "yuv420p10le", "p010le")

    @property
    def bits(self) -> int:
        """Bits per channel."""
        return max(part.bits for part in av.VideoFormat(self.pixel_format).components)


_ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "ffv1": "ffv1",
    "mpeg4": "mpeg4",
    "mjpeg": "mjpeg",
}
_DEEP_FORMATS = {
    "libx264": "yuv420p10le",
    "libx265": "yuv420p10le",
    "libsvtav1": "yuv420p10le",
    "ffv1": "gbrp16le",
    **dict.fromkeys(_NVENC, "p010le"),
}
"""Pixel formats of more than 8 bits per channel by encoder; the others have none."""

_READ_AS = {"libdav1d": "av1", "libaom-av1": "av1"}
"""Names of decoders that differ from the codec."""

CODECS: tuple[str, ...] = get_args(Codec)
"""Values of the option; "source" is the codec of the input if it can be written.

"auto" is HEVC for more than 8 bits, since hardware and browsers decode its 10-bit profile (Main 10)
but rarely that of H.264 (High 10), and H.264 for 8 bits.
"""


def stores_more_than_8_bits(source: MediaInfo) -> bool:
    """Whether a video of frames from `source` should have more than 8 bits per channel."""
    return source.deep and source.bit_depth > 8


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
        return _hardware_encoding(codec, source, crf), []
    notes: list[str] = []
    if codec == "source":
        codec = _READ_AS.get(source.codec, source.codec)
        if codec not in _ENCODERS:
            default = _default_codec(source)
            used = {"h264": "H.264", "hevc": "HEVC"}[default]
            notes.append(f"the input's codec {codec} cannot be written here; {used} is used")
            codec = default
    if codec == "auto":
        codec = _default_codec(source)
    _check_crf(codec, crf)
    encoder = _ENCODERS[codec]
    if encoder not in av.codecs_available:
        raise UsageError(
            f"this FFmpeg has no encoder {encoder}", where="codec", hint="Choose another codec."
        )
    settings = _settings(codec, DEFAULT_CRF.get(codec, 0) if crf is None else crf)
    return _with_hdr_metadata(_with_depth(settings, source), source), notes


def _default_codec(source: MediaInfo) -> str:
    large_enough = min(source.width, source.height) >= MIN_SIDES["libx265"]
    return "hevc" if stores_more_than_8_bits(source) and large_enough else "h264"


def _with_depth(encoding: Encoding, source: MediaInfo) -> Encoding:
    """Return the encoding with more than 8 bits per channel if the source has them."""
    if not stores_more_than_8_bits(source) or encoding.encoder not in _DEEP_FORMATS:
        return encoding
    return replace(encoding, pixel_format=_DEEP_FORMATS[encoding.encoder])


def _with_hdr_metadata(encoding: Encoding, source: MediaInfo) -> Encoding:
    """Return the encoding with the HDR metadata of the source, as far as it can store them."""
    parameters = encoder_parameters(encoding.encoder, *_hdr_metadata(source))
    if not parameters:
        return encoding
    name = _PARAMETER_OPTIONS[encoding.encoder]
    given = [encoding.options[name]] if name in encoding.options else []
    return replace(encoding, options={**encoding.options, name: ":".join([*given, *parameters])})


def _hdr_metadata(source: MediaInfo) -> tuple[str | None, str | None]:
    return (source.mastering_display, source.content_light) if source.deep else (None, None)


def restored_header(codec: str, source: MediaInfo) -> tuple[MediaInfo, list[str]]:
    """Return the header with which frames of `source` are written, and what the user should know.

    It is that of the source, with its colours and more than 8 bits if it has them, unless the codec
    stores 8 bits only: then that of the same frames in SDR.

    Args:
        codec: One of `CODECS`.
        source: Header of the input.

    Raises:
        UsageError: The codec is unknown, or this FFmpeg has no encoder.
        DeviceError: The encoder needs a GPU that this machine does not have.

    """
    if not source.deep:
        return source, []
    encoding = choose_encoding(codec, source)[0]
    if stores_more_than_8_bits(source) and encoding.bits == 8:
        note = f"{encoding.encoder} stores 8 bits per channel: the restored video is 8-bit SDR"
        return sdr_header(source), [note]
    notes = []
    if encoding.bits > 8:
        notes.append(
            f"the restored video is {encoding.codec} with {encoding.bits} bits per channel and the "
            "colour tags of the input"
        )
    if encoder_parameters(encoding.encoder, *_hdr_metadata(source)) is None:
        notes.append(
            f"{encoding.encoder} cannot store mastering display and content light level, which the "
            "restored video lacks"
        )
    return source, notes


def _check_crf(codec: str, crf: int | None) -> None:
    limit = _CRF_LIMITS.get(codec, _CRF_LIMIT)
    if crf is not None and not 0 <= crf <= limit:
        raise UsageError(
            f"crf {crf} is out of range for {codec}", where="crf", hint=f"Choose from 0 to {limit}."
        )


def _hardware_encoding(encoder: str, source: MediaInfo, crf: int | None) -> Encoding:
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
    encoding = Encoding(codec, encoder, "yuv420p", options)
    deep = _with_depth(encoding, source)
    if deep != encoding and hardware_fault(encoder, deep.pixel_format) is not None:
        # Most GPUs encode H.264 with 8 bits only.
        return encoding
    return deep


@lru_cache
def hardware_fault(encoder: str, pixel_format: str = "yuv420p") -> str | None:
    """Return why an encoder of a GPU cannot be used on this machine, None if it can."""
    if encoder not in av.codecs_available:
        return "this FFmpeg is built without it"
    context = cast(VideoCodecContext, av.CodecContext.create(encoder, "w"))
    context.width = context.height = 2 * MIN_SIDES[encoder]
    context.pix_fmt = pixel_format
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
