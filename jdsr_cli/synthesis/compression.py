"""Degradation of the paper, JPEG compression, and video compression of short clips."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.errors import UsageError
from jdsr_cli.synthesis.camera_settings import CameraSettings


@dataclass(frozen=True)
class DegradedPair:
    """A low-resolution input and its ground truth; images are uint8 RGB."""

    lr: NDArray[np.uint8]
    """(s, s, 3): I_M_LR, the degraded face with its mask."""
    lr_clean: NDArray[np.uint8]
    """(s, s, 3): I_GT_LR, the same face without mask, reduced and not degraded further."""
    hr: NDArray[np.uint8]
    """(128, 128, 3): I_HR, the face without mask."""
    occlusion: NDArray[np.float32]
    """(s, s) in [0, 1]: share of each low-resolution pixel that the mask covers."""
    native_width: int
    """Width in pixels at which the face was sampled."""
    matrix: NDArray[np.float64] | None = None
    """(2, 3) from pixels of the face to those of `hr`; None for the identity."""


def resize_bicubic(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize an RGB image to (size, size, 3) as PIL does: antialiased, a = -0.5, rounded."""
    picture = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.uint8)


def degrade_paper(
    clean: NDArray[np.uint8],
    masked: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    lr_size: int,
) -> DegradedPair:
    """Reduce a face with and without its mask (PAPER section 4.2).

    Args:
        clean: (128, 128, 3) the face.
        masked: (128, 128, 3) the same face with its mask.
        alpha: (128, 128) share of each pixel that the mask covers.
        lr_size: Side of the low-resolution image: 32 for x4, 16 for x8.

    """
    covered = cv2.resize(alpha, (lr_size, lr_size), interpolation=cv2.INTER_AREA)
    return DegradedPair(
        lr=resize_bicubic(masked, lr_size),
        lr_clean=resize_bicubic(clean, lr_size),
        hr=clean,
        occlusion=np.asarray(covered, np.float32),
        native_width=lr_size,
    )


MIN_CLIP_SIDE = 48
"""Minimum width and height of a clip in pixels: encoders need blocks for motion search."""
HEVC_SHARE = 0.2
"""Share of clips in H.265; the others are in H.264."""
SINGLE_FRAME_SHARE = 0.2
"""Share of clips with a single frame."""
CODECS = {
    "h264": ("libx264", {"preset": "veryfast", "tune": "zerolatency"}),
    "hevc": (
        "libx265",
        {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x265-params": "log-level=none:pools=none:frame-threads=1:wpp=0",
        },
    ),
}
"""Encoder and its options, by the name of the decoder."""


def compress(
    picture: NDArray[np.uint8], rng: np.random.Generator, settings: CameraSettings
) -> NDArray[np.uint8]:
    """Encode an image and decode it, at a random offset of the codec's block grid.

    Args:
        picture: RGB uint8 (H, W, 3) at the sensor's resolution.
        rng: Draws codec and quality.
        settings: Ranges and probabilities.

    """
    if rng.random() < settings.uncompressed:
        return picture
    if settings.video and rng.random() < settings.video:
        return _compress_as_video(picture, rng, settings)
    low, high = settings.quality
    height, width = picture.shape[:2]
    for _ in range(1 + int(rng.random() < 0.3)):
        quality = int(rng.integers(low, high + 1))
        left, top = (int(v) for v in rng.integers(0, 16, 2))
        padded = cv2.copyMakeBorder(picture, top, 16, left, 16, cv2.BORDER_REPLICATE)
        subsampling = (
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
            if rng.random() < 0.8
            else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        )
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, subsampling]
        _, data = cv2.imencode(".jpg", padded, options)
        decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        picture = np.ascontiguousarray(decoded[top : top + height, left : left + width])
    if rng.random() < settings.deblocked:
        picture = np.asarray(cv2.bilateralFilter(picture, 3, 14, 1.5), np.uint8)
    return picture


def _compress_as_video(
    picture: NDArray[np.uint8], rng: np.random.Generator, settings: CameraSettings
) -> NDArray[np.uint8]:
    """Encode a clip with slight motion that ends with the image; return its last frame."""
    name = "hevc" if rng.random() < HEVC_SHARE else "h264"
    low, high = settings.crf
    crf = int(rng.integers(low, high + 1))
    left, top = (int(v) for v in rng.integers(0, 16, 2))
    height, width = picture.shape[:2]
    right = max(16, MIN_CLIP_SIDE - width - left)
    bottom = max(16, MIN_CLIP_SIDE - height - top)
    right += (left + width + right) % 2
    bottom += (top + height + bottom) % 2
    padded = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_REFLECT_101)
    frames = [np.asarray(padded, np.uint8)]
    if rng.random() >= SINGLE_FRAME_SHARE:
        for _ in range(2):
            moved = np.roll(frames[0], rng.integers(-2, 3, 2), axis=(0, 1))
            grain = rng.normal(0.0, 2.0, moved.shape[:2])[..., None]
            frames.insert(0, np.clip(np.rint(moved + grain), 0, 255).astype(np.uint8))
    decoded = encode_and_decode(frames, name, crf)
    return np.ascontiguousarray(decoded[top : top + height, left : left + width])


def encode_and_decode(frames: list[NDArray[np.uint8]], name: str, crf: int) -> NDArray[np.uint8]:
    """Encode a clip and return its last decoded frame, RGB uint8 (H, W, 3).

    Args:
        frames: RGB uint8 (H, W, 3), even sides.
        name: A key of `CODECS`.
        crf: Constant rate factor.

    Raises:
        UsageError: PyAV is not installed.

    """
    # Training machines may lack PyAV; recipes without `video` do not need it.
    try:
        import av
    except ImportError as error:
        raise UsageError(
            "short clips are encoded by PyAV, which is not installed",
            where="camera: video",
            hint="Install it (pip install av), or set video = 0 in the recipe's [camera]",
        ) from error
    encoder_name, options = CODECS[name]
    encoder = av.CodecContext.create(encoder_name, "w")
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(encoder, av.VideoCodecContext)
    assert isinstance(decoder, av.VideoCodecContext)
    encoder.height, encoder.width = frames[0].shape[:2]
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = decoder.thread_count = 1
    encoder.options = {**options, "crf": str(crf)}
    packets = []
    for number, picture in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [frame for packet in packets for frame in decoder.decode(packet)]
    decoded += decoder.decode(None)
    return np.asarray(decoded[-1].to_ndarray(format="rgb24"), np.uint8)
