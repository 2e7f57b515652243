"""Synthetic tracks: shots of one person by one camera, as alignment or registration leaves them.

A face is shown several times: the head moves a little (a similarity and a smooth deformation), the
mouth moves, the light changes, the mask slips, is taken off or put on, and a hand passes. One
camera films all shots; noise, compression, subpixel position and motion blur differ. The ground
truth is the bare face in the position, expression and light of the first shot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError, within
from jdsr_cli.faces.canonical_colours import canonical_map
from jdsr_cli.synthesis.camera import (
    SQUEEZES,
    capture,
    draw_misalignment,
    draw_monochrome_decision,
    rounded,
)
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.light import draw_light
from jdsr_cli.synthesis.masks import Sprite, apply_mask, choose_sprite
from jdsr_cli.synthesis.occluder_scene import FaceFrame, Scene, measure_face
from jdsr_cli.synthesis.occluders import add_occluder

GRID = 5
"""Control points along each side of the smooth deformation."""
MAX_DEVIATIONS = 2.5
"""Standard deviations at which all movements are clipped."""
SLIP = 0.7
"""Standard deviation in pixels of a mask's movement on the face from shot to shot."""
WIDTH_VARIATION = 0.07
"""Largest relative difference of a shot's width on the sensor from that of its track."""


@dataclass(frozen=True)
class TrackSettings:
    """Movement between the shots of a track, and what covers the face.

    Standard deviations are relative to the first shot, in pixels of the 128-pixel template. Those
    that are pairs (a, b) are a + b / width ** 1.5 for a face `width` pixels wide on the sensor,
    since landmarks and registration are less exact in small faces. The defaults are what remains
    after registration, as measured on such tracks (`jdsr_cli.faces.registration`); `ALIGNED` is
    what registration starts from.
    """

    shots: tuple[int, ...] = (2, 4, 8)
    """Numbers of shots of training tracks; one is drawn for each batch."""
    shift: tuple[float, float] = (0.15, 50.0)
    """Shift along x and along y."""
    rotation: tuple[float, float] = (0.18, 27.0)
    """Rotation, in degrees."""
    zoom: tuple[float, float] = (0.0032, 0.4)
    """Relative change of scale."""
    stretch: float = 0.01
    """Relative change of the width alone."""
    warp: float = 0.6
    """Smooth deformation, as by turns of the head."""
    expression: float = 0.8
    """Movement of the mouth and the chin."""
    misregistered: float = 0.04
    """Share of shots that move four times as far."""
    light: float = 0.05
    """Relative change of the light, and of its gradient over the face."""
    uncovered: float = 0.35
    """Share of masked tracks in which the mask is off in some shots."""
    hand: float = 0.15
    """Share of tracks in which a hand is in front of the face in some shots after the first."""

    def __post_init__(self) -> None:
        within(self, 1, 64, "shots")
        deviations = "shift", "rotation", "zoom", "stretch", "warp", "expression", "light"
        within(self, 0, math.inf, *deviations)
        within(self, 0, 1, "misregistered", "uncovered", "hand")
        if not self.shots:
            raise UsageError("at least one number of shots is needed", where="shots")


ALIGNED = TrackSettings(
    shift=(0.0, 500.0), rotation=(0.8, 185.0), zoom=(0.02, 5.4), stretch=0.03, warp=0.9,
    expression=1.2, misregistered=0.0,
)  # fmt: skip
"""Shots that are aligned by landmarks and not registered.

As measured between shots of one track (at least 0.2 s apart) of seven clips of streets, offices and
corridors (`alignment_error.py` and `registration_error.py` in `tests/benchmarks`): shift 7.9, 3.4,
1.6 and 0.9 px along each axis, rotation 3.7, 2.2, 1.4 and 1.1 degrees, zoom 0.104, 0.056, 0.042 and
0.026 for faces about 16, 26, 42 and 75 px wide.
"""
MISREGISTERED = 4.0
"""Factor of the movements of a shot whose registration failed."""


@dataclass(frozen=True, eq=False)
class RecordedTrack:
    """The shots of a track and their ground truth; pictures are uint8 RGB."""

    frames: NDArray[np.uint8]
    """(n, s, s, 3): the aligned crops."""
    occlusions: NDArray[np.float32]
    """(n, s, s) in [0, 1]: share of each pixel that shows a mask."""
    worn: NDArray[np.float32]
    """(n, s, s) in [0, 1]: share of each pixel that a mask covers, also behind a hand."""
    truth: NDArray[np.uint8]
    """(128, 128, 3): the face without mask and hand, as the first shot shows it."""
    masked: tuple[bool, ...]
    """Whether the person wears a mask, for each shot."""
    native_width: float
    """Mean width of the face on the sensor in pixels."""


def record_track(
    face: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    masked: Sequence[bool],
    sprites: Sequence[Sprite],
    lr_size: int,
    rng: np.random.Generator,
    camera: CameraSettings,
    settings: TrackSettings,
    *,
    canonical: bool = False,
) -> RecordedTrack:
    """Simulate the shots of a face.

    Args:
        face: (128, 128, 3) RGB uint8, bare, aligned.
        landmarks: (68, 2) iBUG points in its pixels.
        masked: Whether the person wears a mask, for each shot; at least one.
        sprites: Masks, of which one is drawn; may be empty if no shot is masked.
        lr_size: Side of the crops in pixels.
        rng: Draws everything else; the same state gives the same bytes.
        camera: Ranges and probabilities, from which the camera of the track is drawn.
        settings: Movement between the shots.
        canonical: Whether each shot is converted to canonical colours, as `restore` does, and the
            ground truth with the first.

    """
    frame = measure_face(face, landmarks)
    light = draw_light(rng, camera)
    camera = draw_camera(camera, rng)
    width = math.sqrt(camera.native_width[0] * camera.native_width[1])
    base = draw_misalignment(rng, camera, TEMPLATE_SIZE)
    monochrome = draw_monochrome_decision(light, rng)
    mask = None
    if any(masked):
        mask = choose_sprite(sprites, landmarks, rng), int(rng.integers(1 << 32))
    hands = _draw_hands(len(masked), rng, settings)
    truth = face
    frames: list[NDArray[np.uint8]] = []
    occlusions: list[NDArray[np.float32]] = []
    worn: list[NDArray[np.float32]] = []
    for number, (wears, hand) in enumerate(zip(masked, hands, strict=True)):
        scene = _dress(face, landmarks, mask if wears else None, rng)
        behind = scene.alpha
        if hand:
            scene = add_occluder("hand", scene, frame, rng)
        position = _position(base, frame, width, rng, settings if number else None)
        shade = _draw_shade(rng, settings.light) if number else np.float32(1.0)
        stacked = np.concatenate([scene.masked, rounded(scene.alpha * 255)[..., None]], axis=2)
        moved = _remap(stacked, position)
        exposed = rounded(light.expose(np.ascontiguousarray(moved[..., :3])) * shade)
        shot, _ = capture(exposed, lr_size, light, rng, camera)
        colours = canonical_map(shot, monochrome=monochrome) if canonical else None
        frames.append(shot if colours is None else colours.apply(shot))
        occlusions.append(_reduced(moved[..., 3], lr_size))
        hidden = _remap(rounded(behind * 255), position) if hand else moved[..., 3]
        worn.append(_reduced(hidden, lr_size))
        if number == 0:
            exact = light.expose(_remap(face, position))
            truth = rounded(exact if colours is None else colours.apply(exact))
    return RecordedTrack(
        np.stack(frames), np.stack(occlusions), np.stack(worn), truth, tuple(masked), width
    )


def deviation(near: float, far: float, width: float) -> float:
    """Return a standard deviation of `TrackSettings` for faces of a width in pixels."""
    return float(near + far / width**1.5)


def draw_masked(
    count: int, share: float, rng: np.random.Generator, settings: TrackSettings
) -> tuple[bool, ...]:
    """Draw in which shots of a track the person wears a mask.

    Args:
        count: Number of shots.
        share: Share of tracks with a mask.
        rng: Source of random numbers.
        settings: Share of those tracks in which the mask is off in some shots, which are at random
            positions.

    """
    wears = bool(rng.random() < share)
    if wears and count > 1 and rng.random() < settings.uncovered:
        bare = rng.permutation(count) < rng.integers(1, count)
        return tuple(bool(not one) for one in bare)
    return (wears,) * count


def draw_camera(settings: CameraSettings, rng: np.random.Generator) -> CameraSettings:
    """Return the settings of one camera: properties that do not change from shot to shot are drawn.

    These are the width of the face, but for small differences, the shape of the pixels, interlacing
    and whether frames are degraded at all. Focus, motion blur, noise and compression are still
    drawn for each shot: persons move, and bit rates and gain are controlled automatically.
    """
    if settings.pristine and rng.random() < settings.pristine:
        settings = settings.without_degradation()
    width = float(np.exp(rng.uniform(*np.log(settings.native_width))))
    squeeze = settings.squeeze
    if settings.squeezed and rng.random() < settings.squeezed:
        squeeze = SQUEEZES[int(rng.integers(len(SQUEEZES)))]
    return replace(
        settings,
        native_width=(width * (1.0 - WIDTH_VARIATION), width * (1.0 + WIDTH_VARIATION)),
        interlaced=float(rng.random() < settings.interlaced),
        squeezed=0.0,
        squeeze=squeeze,
        pristine=0.0,
    )


def _draw_hands(count: int, rng: np.random.Generator, settings: TrackSettings) -> NDArray[np.bool_]:
    """Draw in which shots a hand is in front of the face: in none, or in less than half of them."""
    hands = np.zeros(count, np.bool_)
    if settings.hand and count > 2 and rng.random() < settings.hand:
        several = int(rng.integers(1, (count + 1) // 2))
        hands[rng.choice(np.arange(1, count), several, replace=False)] = True
    return hands


def _dress(
    face: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    mask: tuple[Sprite, int] | None,
    rng: np.random.Generator,
) -> Scene:
    """Return the face with the mask of its track, moved a little, or without one."""
    if mask is None:
        return Scene(face, face, np.zeros(face.shape[:2], np.float32))
    sprite, seed = mask
    slipped = landmarks + np.clip(rng.normal(0.0, SLIP, 2), -2.0 * SLIP, 2.0 * SLIP)
    # The same generator in every shot: position and light of the mask belong to the track.
    worn = apply_mask(face, slipped, sprite, np.random.default_rng(seed))
    return Scene(face, worn.image, worn.alpha)


def _normal(rng: np.random.Generator, deviation: float, size: int = 1) -> NDArray[np.float64]:
    limit = MAX_DEVIATIONS
    return np.asarray(np.clip(rng.normal(0.0, 1.0, size), -limit, limit) * deviation)


def _position(
    base: NDArray[np.float64],
    frame: FaceFrame,
    width: float,
    rng: np.random.Generator,
    settings: TrackSettings | None,
) -> NDArray[np.float32]:
    """Return (128, 128, 2): for each pixel of the crop the position x, y in the face's picture.

    Args:
        base: (2, 3) from pixels of the face's picture to those of the first shot's crop.
        frame: Of the face.
        width: Of the face on the sensor.
        rng: Source of random numbers.
        settings: Movement; None for the first shot.

    """
    side = TEMPLATE_SIZE
    y, x = np.mgrid[:side, :side].astype(np.float32)
    crop = np.stack([x, y], axis=-1).reshape(-1, 2)
    if settings is not None:
        further = MISREGISTERED if rng.random() < settings.misregistered else 1.0
        turn, zoom, across, down = (
            further * float(_normal(rng, deviation(near, far, width))[0])
            for near, far in (settings.rotation, settings.zoom, settings.shift, settings.shift)
        )
        centre = (side - 1) / 2
        rotated = cv2.getRotationMatrix2D((centre, centre), turn, 1.0 + zoom)[:, :2]
        stretched = rotated @ np.diag([1.0 + float(_normal(rng, settings.stretch)[0]), 1.0])
        crop = (crop - centre) @ stretched.T + centre + (across, down)
        bends = _normal(rng, settings.warp, 2 * GRID * GRID).reshape(GRID, GRID, 2)
        smooth = cv2.resize(bends.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
        crop = crop + smooth.reshape(-1, 2)
    back = cv2.invertAffineTransform(base)
    source = np.asarray(crop @ back[:, :2].T + back[:, 2], np.float64)
    if settings is not None:
        source = source + _expression(source, frame, rng, settings.expression)
    return np.asarray(source.reshape(side, side, 2), np.float32)


def _expression(
    points: NDArray[np.float64], frame: FaceFrame, rng: np.random.Generator, deviation: float
) -> NDArray[np.float64]:
    """Return displacements (n, 2) of points by a moving mouth: opened or closed, and widened."""
    opening, widening = _normal(rng, deviation, 2)
    relative = points - frame.at(0.0, 1.05)
    across = frame.across / frame.unit
    down = frame.drop / np.linalg.norm(frame.drop)
    x, y = relative @ across / frame.unit, relative @ down / frame.unit
    near = np.exp(-0.5 * ((x / 0.5) ** 2 + (y / 0.45) ** 2))
    return np.asarray(
        near[:, None] * (opening * np.tanh(2.0 * y + 0.5)[:, None] * down)
        + near[:, None] * (widening * np.tanh(2.0 * x)[:, None] * across)
    )


def _draw_shade(rng: np.random.Generator, deviation: float) -> NDArray[np.float32]:
    """Return (128, 128, 1): factors on the light of a shot."""
    level, across, down = _normal(rng, deviation, 3)
    ramp = np.linspace(-1.0, 1.0, TEMPLATE_SIZE)
    shade = np.exp(level + across * ramp[None, :] + down * ramp[:, None])
    return np.asarray(shade[..., None], np.float32)


def _reduced(alpha: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Return an alpha in [0, 1] of (size, size) pixels."""
    reduced = cv2.resize(alpha, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced.astype(np.float32) / np.float32(255))


def _remap(picture: NDArray[np.uint8], position: NDArray[np.float32]) -> NDArray[np.uint8]:
    x, y = np.ascontiguousarray(position[..., 0]), np.ascontiguousarray(position[..., 1])
    moved = cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.uint8)
