"""Degradation of a face by a surveillance camera, from the lens to the decoder.

The steps in order: misalignment of the crop, light and tone curve (infrared has no colour), lens
and motion blur, sampling at the native width and noise of the sensor, block compression by the
codec, and resampling to the aligned crop. Misalignment, light and tone are applied to the ground
truth too, since a restored face is pasted back at its position and must keep its light; the
network learns to undo all other steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.compression import DegradedPair, compress, resize_bicubic
from jdsr_cli.synthesis.light import LUMA, Light, draw_light

ImageT = TypeVar("ImageT", np.uint8, np.float32)

_REDUCERS = (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
_ENLARGERS = (cv2.INTER_CUBIC, cv2.INTER_CUBIC, cv2.INTER_LINEAR, cv2.INTER_LANCZOS4)
MAX_ROLL = 30.0
"""Largest roll of a crop in degrees."""
SQUEEZES = ((1.0, 0.5), (0.5, 1.0), (1.0, 0.75), (0.75, 1.0), (0.67, 1.0))
"""Relative samples along x and y: one field, 2CIF, 1080N, anamorphic images."""
MAX_ASPECT_ERROR = 0.1
"""Largest relative error of the aspect ratio after a squeezed image is corrected."""
MAX_FIELD_SHIFT = 0.05
"""Largest movement of a face between two fields, as a share of its width."""
DIM_NOISE = 0.12
"""Share of the noise that does not decrease with the light (read noise of the sensor)."""
MAX_GAIN_NOISE = 2.5
"""Largest factor by which automatic gain raises the noise in low light."""
AUTOMATIC_GAIN = 0.4
"""Share of cameras with automatic gain in low light."""
MISCLASSIFICATION_RATES = (0.07, 0.03, 0.4)
"""Simulated error rates of the monochrome classification: monochrome as colour, colour as
monochrome, and colour in low light as monochrome."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A recorded face, and the ground truth in the same light, not yet rounded."""

    lr: NDArray[np.uint8]
    """(s, s, 3): the aligned crop of the decoded frame."""
    truth: NDArray[np.float32]
    """(128, 128, 3): the face without mask, RGB in [0, 255]."""
    occlusion: NDArray[np.float32]
    """(s, s) in [0, 1]: share of each pixel that the mask covers."""
    matrix: NDArray[np.float64]
    """(2, 3) from pixels of the input face to those of `truth`."""
    light: Light
    native_width: int
    """Width of the face on the sensor in pixels."""


def record(
    clean: NDArray[np.uint8],
    masked: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    lr_size: int,
    rng: np.random.Generator,
    settings: CameraSettings,
) -> Recording:
    """Simulate the recording of a face; without a mask pass `clean` twice and a zero `alpha`.

    Args:
        clean: (128, 128, 3) the face.
        masked: (128, 128, 3) the same face with a mask.
        alpha: (128, 128) share of each pixel that the mask covers.
        lr_size: Side of the network's input.
        rng: Draws the properties of the camera.
        settings: Ranges and probabilities.

    """
    matrix = draw_misalignment(rng, settings, clean.shape[0])
    light = draw_light(rng, settings)
    truth, scene = (light.expose(_warp(picture, matrix)) for picture in (clean, masked))
    covered = cv2.resize(_warp(alpha, matrix), (lr_size, lr_size), interpolation=cv2.INTER_AREA)
    # No number is drawn if the probability is 0: recipes without pristine faces keep their
    # samples.
    if settings.pristine and rng.random() < settings.pristine:
        settings = settings.without_degradation()
    lr, native_width = capture(rounded(scene), lr_size, light, rng, settings)
    occlusion = np.asarray(np.clip(covered, 0.0, 1.0), np.float32)
    return Recording(lr, truth, occlusion, matrix, light, native_width)


def to_pair(
    recording: Recording, rng: np.random.Generator, *, canonical: bool = False
) -> DegradedPair:
    """Return a recording as input and ground truth of a network.

    Args:
        recording: The face.
        rng: Draws whether the footage is misclassified as monochrome or as colour.
        canonical: Whether the pair is converted to canonical colours, as `restore` does before
            the network; the ground truth is converted before it is rounded to 8 bits.

    """
    lr, truth = recording.lr, recording.truth
    if canonical:
        monochrome = draw_monochrome_decision(recording.light, rng)
        colours = canonical_map(lr, monochrome=monochrome)
        lr, truth = colours.apply(lr), colours.apply(truth)
    hr = rounded(truth)
    return DegradedPair(
        lr, resize_bicubic(hr, lr.shape[0]), hr, recording.occlusion, recording.native_width,
        recording.matrix,
    )  # fmt: skip


def draw_monochrome_decision(light: Light, rng: np.random.Generator) -> bool:
    """Return whether footage in this light is classified as monochrome, errors included."""
    as_colour, as_monochrome, dark_as_monochrome = MISCLASSIFICATION_RATES
    if light.monochrome:
        rate = as_colour
    else:
        rate = dark_as_monochrome if light.exposure < 0.15 else as_monochrome
    return light.monochrome ^ bool(rng.random() < rate)


def draw_misalignment(
    rng: np.random.Generator, settings: CameraSettings, size: int
) -> NDArray[np.float64]:
    """Return (2, 3) from pixels of an aligned face of `size` pixels to those of its crop."""
    angle = float(np.clip(rng.normal(0, 0.5), -1, 1)) * settings.rotation
    zoom = 1.0 + float(np.clip(rng.normal(0, 0.5), -1, 1)) * settings.zoom
    if settings.rolled and rng.random() < settings.rolled:
        angle = float(rng.uniform(-MAX_ROLL, MAX_ROLL))
    centre = (size - 1) / 2
    rotated = cv2.getRotationMatrix2D((centre, centre), angle, zoom)
    matrix: NDArray[np.float64] = np.asarray(rotated, np.float64)
    matrix[:, 2] += np.clip(rng.normal(0, 0.5, 2), -1, 1) * settings.shift
    if settings.squeezed and rng.random() < settings.squeezed:
        factor = 1.0 + float(rng.uniform(-MAX_ASPECT_ERROR, MAX_ASPECT_ERROR))
        matrix[1] *= factor
        matrix[1, 2] += (1.0 - factor) * centre
    return matrix


def _warp(picture: NDArray[ImageT], matrix: NDArray[np.float64]) -> NDArray[ImageT]:
    size = picture.shape[0]
    return cv2.warpAffine(  # type: ignore[return-value]
        picture, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )


def capture(
    scene: NDArray[np.uint8],
    lr_size: int,
    light: Light,
    rng: np.random.Generator,
    settings: CameraSettings,
) -> tuple[NDArray[np.uint8], int]:
    """Return the crop of the frame after lens, sensor and codec, and its width on the sensor.

    Args:
        scene: RGB uint8 (128, 128, 3), exposed.
        lr_size: Side of the crop.
        light: Of the scene.
        rng: Draws the properties of the camera.
        settings: Ranges and probabilities.

    Returns:
        RGB uint8 (lr_size, lr_size, 3), and the width in pixels of the sensor.

    """
    size = scene.shape[0]
    low, high = settings.native_width
    native = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    blurred = _blur(scene, size / native, rng, settings)
    width, height = _sample_counts(native, rng, settings)
    sensed = cv2.resize(
        blurred, (width, height), interpolation=_REDUCERS[int(rng.integers(4))]
    ).astype(np.float32)
    if settings.interlaced and rng.random() < settings.interlaced:
        sensed = _interlace(sensed, rng)
    sensed += _noise(sensed, light, rng, settings)
    decoded = compress(rounded(sensed), rng, settings)
    if light.monochrome and not settings.tinted:
        grey = np.rint(decoded.astype(np.float32) @ LUMA).astype(np.uint8)
        decoded = np.repeat(grey[..., None], 3, axis=2)
    if native > lr_size:
        return resize_bicubic(decoded, lr_size), native
    crop = cv2.resize(decoded, (lr_size, lr_size), interpolation=_ENLARGERS[int(rng.integers(4))])
    return np.asarray(crop, np.uint8), native


def _sample_counts(
    native: int, rng: np.random.Generator, settings: CameraSettings
) -> tuple[int, int]:
    """Return the numbers of samples of the face along x and y."""
    across, down = settings.squeeze or (1.0, 1.0)
    if settings.squeezed and rng.random() < settings.squeezed:
        across, down = SQUEEZES[int(rng.integers(len(SQUEEZES)))]
    return max(6, round(native * across)), max(6, round(native * down))


def _interlace(sensed: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Replace every second row by one of a horizontally displaced face."""
    max_shift = max(1, round(MAX_FIELD_SHIFT * sensed.shape[1]))
    moved = np.roll(sensed, int(rng.integers(1, max_shift + 1)) * int(rng.choice((-1, 1))), axis=1)
    interlaced = sensed.copy()
    interlaced[1::2] = moved[1::2]
    return interlaced


def _blur(
    scene: NDArray[np.uint8],
    pixel: float,
    rng: np.random.Generator,
    settings: CameraSettings,
) -> NDArray[np.uint8]:
    """Blur by lens and motion; `pixel` is the side of a native pixel in scene pixels."""
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
    light: Light,
    rng: np.random.Generator,
    settings: CameraSettings,
) -> NDArray[np.float32]:
    """Return sensor noise, partly common to the channels, sometimes smoothed as by a denoiser."""
    low, high = settings.noise
    strength = low + (high - low) * float(rng.beta(1.0, 2.5))
    if light.exposure < 1.0:
        strength *= DIM_NOISE + (1.0 - DIM_NOISE) * light.exposure
        if rng.random() < AUTOMATIC_GAIN:
            strength *= float(rng.uniform(1.0, MAX_GAIN_NOISE))
    height, width, _ = sensed.shape
    common = rng.normal(0, strength, (height, width, 1))
    coloured = rng.normal(0, 0.0 if light.monochrome else 0.6 * strength, (height, width, 3))
    darkness = 1.3 - 0.6 * sensed.mean(axis=2, keepdims=True) / 255.0
    noise = np.asarray((common + coloured) * darkness, np.float32)
    if rng.random() < 0.3:
        noise = 1.5 * cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(0.4, 1.0)))
    return np.asarray(noise, np.float32)


def rounded(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a picture of grey levels as uint8, rounded and clipped."""
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)
