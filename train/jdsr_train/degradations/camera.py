"""What a surveillance camera does to a face, from the lens to the decoder.

In the order in which it happens: the crop is not quite aligned, the light and the tone curve are
what they are (and infrared has no colour), the lens and motion blur, the sensor samples the face
at its native width and adds noise, the codec throws detail away in blocks, and the aligned crop
is resampled from what is left. Alignment and tone are given to the truth as well, since a
restored face is pasted back where it was and must keep its light; all the rest is to be undone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_train.degradations.paper import resize_bicubic
from jdsr_train.degradations.sample import Pair

ImageT = TypeVar("ImageT", np.uint8, np.float32)

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_REDUCERS = (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
_ENLARGERS = (cv2.INTER_CUBIC, cv2.INTER_CUBIC, cv2.INTER_LINEAR, cv2.INTER_LANCZOS4)


@dataclass(frozen=True)
class CameraSettings:
    """Ranges from which a camera is drawn; every pair is (lowest, highest)."""

    native_width: tuple[float, float] = (12.0, 128.0)
    """Width of the aligned face region on the sensor, in pixels; drawn log-uniformly."""
    blur: tuple[float, float] = (0.0, 1.1)
    """Standard deviation of lens blur, in native pixels."""
    motion: float = 0.2
    """Probability of motion blur, up to 4 native pixels long."""
    noise: tuple[float, float] = (0.0, 12.0)
    """Standard deviation of sensor noise, in grey levels of 255, strongest in the dark."""
    quality: tuple[int, int] = (25, 95)
    """JPEG quality that stands for the codec's quantiser."""
    uncompressed: float = 0.1
    """Probability of no compression at all."""
    deblocked: float = 0.35
    """Probability that a compressed picture is smoothed as decoders do."""
    infrared: float = 0.12
    """Probability of a picture without colour."""
    rotation: float = 8.0
    """Largest misalignment of the crop, in degrees."""
    zoom: float = 0.12
    """Largest relative misalignment of the crop's scale."""
    shift: float = 5.0
    """Largest misalignment of the crop, in pixels of 128."""
    pristine: float = 0.0
    """Probability of a camera that spoils nothing: full width, no blur, no noise, and as good as
    no compression. From it a network learns to leave a sharp face alone."""

    def spotless(self) -> CameraSettings:
        """Return the camera that spoils nothing; it is held and exposed as before."""
        return replace(
            self, native_width=(128.0, 128.0), blur=(0.0, 0.0), motion=0.0, noise=(0.0, 0.0),
            quality=(93, 98), uncompressed=0.5, deblocked=0.0,
        )  # fmt: skip


def degrade_camera(
    clean: NDArray[np.uint8],
    masked: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    lr_size: int,
    rng: np.random.Generator,
    settings: CameraSettings,
) -> Pair:
    """Degrade a face as footage would; without a mask pass `clean` twice and a zero `alpha`.

    Args:
        clean: (128, 128, 3) the face.
        masked: (128, 128, 3) the same face with its mask on.
        alpha: (128, 128) how much of each pixel the mask covers.
        lr_size: Side of the network's input.
        rng: Draws the camera.
        settings: What may be drawn.

    """
    matrix = _misalignment(rng, settings, clean.shape[0])
    tone = _tone_curve(rng)
    infrared = rng.random() < settings.infrared
    tint = rng.normal(0.0, 0.03, 3) if not infrared else np.zeros(3)
    hr, scene = (
        _expose(_warp(picture, matrix), tone, infrared, tint) for picture in (clean, masked)
    )
    covered = cv2.resize(_warp(alpha, matrix), (lr_size, lr_size), interpolation=cv2.INTER_AREA)
    # No number is drawn without need: recipes without pristine faces keep their samples.
    if settings.pristine and rng.random() < settings.pristine:
        settings = settings.spotless()
    return Pair(
        lr=_film(scene, lr_size, infrared, rng, settings),
        lr_clean=resize_bicubic(hr, lr_size),
        hr=hr,
        occlusion=np.asarray(np.clip(covered, 0.0, 1.0), np.float32),
        matrix=matrix,
    )


def _misalignment(
    rng: np.random.Generator, settings: CameraSettings, size: int
) -> NDArray[np.float64]:
    angle = float(np.clip(rng.normal(0, 0.5), -1, 1)) * settings.rotation
    zoom = 1.0 + float(np.clip(rng.normal(0, 0.5), -1, 1)) * settings.zoom
    centre = (size - 1) / 2
    rotated = cv2.getRotationMatrix2D((centre, centre), angle, zoom)
    matrix: NDArray[np.float64] = np.asarray(rotated, np.float64)
    matrix[:, 2] += np.clip(rng.normal(0, 0.5, 2), -1, 1) * settings.shift
    return matrix


def _warp(picture: NDArray[ImageT], matrix: NDArray[np.float64]) -> NDArray[ImageT]:
    size = picture.shape[0]
    return cv2.warpAffine(  # type: ignore[return-value]
        picture, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )


def _tone_curve(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a 256-entry table: gamma, contrast and brightness of the camera."""
    levels = np.linspace(0, 1, 256, dtype=np.float32)
    gamma = float(np.exp(rng.normal(0, 0.25)))
    contrast = float(np.clip(rng.normal(0.95, 0.12), 0.55, 1.15))
    lift = float(rng.normal(0.0, 0.04))
    curve = np.clip((levels**gamma - 0.5) * contrast + 0.5 + lift, 0, 1)
    return np.asarray(curve, np.float32)


def _expose(
    picture: NDArray[np.uint8],
    tone: NDArray[np.float32],
    infrared: bool,
    tint: NDArray[np.float64],
) -> NDArray[np.uint8]:
    exposed = tone[picture]
    if infrared:
        exposed = np.repeat((exposed @ _LUMA)[..., None], 3, axis=2)
    exposed = exposed * (1.0 + tint.astype(np.float32))
    return np.clip(np.rint(exposed * 255), 0, 255).astype(np.uint8)


def _film(
    scene: NDArray[np.uint8],
    lr_size: int,
    infrared: bool,
    rng: np.random.Generator,
    settings: CameraSettings,
) -> NDArray[np.uint8]:
    """Record the scene: lens, sensor, codec, and the crop taken from the decoded frame."""
    size = scene.shape[0]
    low, high = settings.native_width
    native = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    optical = _lens(scene, size / native, rng, settings)
    sensed = cv2.resize(
        optical, (native, native), interpolation=_REDUCERS[int(rng.integers(4))]
    ).astype(np.float32)
    sensed += _noise(sensed, infrared, rng, settings)
    decoded = _compress(np.clip(np.rint(sensed), 0, 255).astype(np.uint8), infrared, rng, settings)
    if native > lr_size:
        return resize_bicubic(decoded, lr_size)
    crop = cv2.resize(decoded, (lr_size, lr_size), interpolation=_ENLARGERS[int(rng.integers(4))])
    return np.asarray(crop, np.uint8)


def _lens(
    scene: NDArray[np.uint8],
    pixel: float,
    rng: np.random.Generator,
    settings: CameraSettings,
) -> NDArray[np.uint8]:
    """Blur by the lens and by motion; `pixel` is the side of a native pixel in scene pixels."""
    long, short = np.sort(rng.uniform(*settings.blur, 2))[::-1] * pixel
    if long > 0.3:
        scene = _convolve(scene, _gaussian(float(long), float(short), float(rng.uniform(0, np.pi))))
    if rng.random() < settings.motion:
        length = float(rng.uniform(1.0, 4.0)) * pixel
        direction = float(rng.normal(0, 0.5) + np.pi * rng.integers(2))
        scene = _convolve(scene, _gaussian(0.3 * length, 0.35, direction))
    return scene


def _gaussian(along: float, across: float, angle: float) -> NDArray[np.float32]:
    radius = max(1, min(24, int(np.ceil(2.5 * max(along, across)))))
    yy, xx = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    u = np.cos(angle) * xx + np.sin(angle) * yy
    v = -np.sin(angle) * xx + np.cos(angle) * yy
    kernel = np.exp(-0.5 * ((u / max(along, 0.25)) ** 2 + (v / max(across, 0.25)) ** 2))
    return np.asarray(kernel / kernel.sum(), np.float32)


def _convolve(scene: NDArray[np.uint8], kernel: NDArray[np.float32]) -> NDArray[np.uint8]:
    blurred = cv2.filter2D(scene, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.uint8)


def _noise(
    sensed: NDArray[np.float32],
    infrared: bool,
    rng: np.random.Generator,
    settings: CameraSettings,
) -> NDArray[np.float32]:
    """Sensor noise, part of it common to the channels, smoothed at times as denoisers do."""
    low, high = settings.noise
    strength = low + (high - low) * float(rng.beta(1.0, 2.5))
    height, width, _ = sensed.shape
    common = rng.normal(0, strength, (height, width, 1))
    coloured = rng.normal(0, 0.0 if infrared else 0.6 * strength, (height, width, 3))
    darkness = 1.3 - 0.6 * sensed.mean(axis=2, keepdims=True) / 255.0
    noise = np.asarray((common + coloured) * darkness, np.float32)
    if rng.random() < 0.3:
        noise = 1.5 * cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(0.4, 1.0)))
    return np.asarray(noise, np.float32)


def _compress(
    picture: NDArray[np.uint8],
    infrared: bool,
    rng: np.random.Generator,
    settings: CameraSettings,
) -> NDArray[np.uint8]:
    """JPEG at a random place of the block grid, at times twice, and then deblocked as H.264 is."""
    if rng.random() < settings.uncompressed:
        return picture
    low, high = settings.quality
    size = picture.shape[0]
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
        picture = np.ascontiguousarray(decoded[top : top + size, left : left + size])
    if rng.random() < settings.deblocked:
        picture = np.asarray(cv2.bilateralFilter(picture, 3, 14, 1.5), np.uint8)
    if infrared:
        grey = np.rint(picture.astype(np.float32) @ _LUMA).astype(np.uint8)
        picture = np.repeat(grey[..., None], 3, axis=2)
    return picture
