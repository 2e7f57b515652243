"""The clip of the demo: two people walk through a corridor towards a simulated CCTV camera.

The scene is rendered, degraded like a camera image, and encoded as H.264. Lengths are in metres: x
to the right, height above the floor, z the distance from the camera. People are flat and face the
camera, so that a similarity maps their photograph to the frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import LUMA_WEIGHTS
from jdsr_cli.demo.people import COLLINS, HOPPER, Person, PersonLayer, cut_out_person
from jdsr_cli.media import Image, MediaInfo, VideoWriter
from jdsr_cli.progress import Progress

HALF_WIDTH = 1.5
CEILING = 2.7
END = 13.0
"""Half the width, the height and the length of the corridor in metres."""

_FLOOR = (142.0, 138.0, 130.0)
_PAINT = (176.0, 180.0, 172.0)
_DADO = (104.0, 122.0, 122.0)
_DOOR = (112.0, 88.0, 66.0)
_LIGHTS = np.arange(2.0, END, 3.0)


def draw_corridor(camera: Camera, factor: int) -> NDArray[np.float32]:
    """Render the empty corridor from the position of `camera`, by casting a ray per pixel.

    Args:
        camera: The camera.
        factor: Rendered pixels per frame pixel along each side.

    Returns:
        RGB in [0, 255], float32 (factor * height, factor * width, 3).

    """
    left, top = camera.vanishing_point
    columns = (np.arange(camera.width * factor) + 0.5) / factor - 0.5 - left
    rows = (np.arange(camera.height * factor) + 0.5) / factor - 0.5 - top
    dx, dy = np.meshgrid(columns / camera.focal, rows / camera.focal)
    with np.errstate(divide="ignore"):
        to_wall = HALF_WIDTH / np.abs(dx)
        down, up = camera.above_floor, CEILING - camera.above_floor
        to_level = np.where(dy > 0, down, up) / np.abs(dy)
    z = np.minimum(np.minimum(to_wall, to_level), END)
    x, height = dx * z, camera.above_floor - dy * z

    wall, end = (to_wall <= to_level) & (to_wall < END), z >= END
    floor = ~wall & ~end & (dy > 0)
    colour = np.full((*z.shape, 3), 214.0)
    colour[floor] = np.array(_FLOOR) * _tiles(x[floor], z[floor])[:, None]
    colour[wall | end] = np.where(height[wall | end, None] < 1.05, _DADO, _PAINT)
    colour[(wall | end) & (height < 0.12)] = (62.0, 60.0, 58.0)
    colour[wall & (np.abs(height - 1.05) < 0.03)] = (84.0, 92.0, 92.0)
    _doors(colour, wall, end, x, z, height)
    colour *= _light(z, height, floor)[..., None]
    return np.asarray(np.clip(cv2.GaussianBlur(colour, (0, 0), 0.5 * factor), 0, 255), np.float32)


def _tiles(x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the brightness of the floor: 60 cm tiles with slight variation, and their joints."""
    across, along = np.floor(x / 0.6), np.floor(z / 0.6)
    tone = 1.0 + 0.07 * np.sin(12.9898 * across + 78.233 * along + 0.5)
    joint = np.maximum(np.abs(x / 0.6 - across - 0.5), np.abs(z / 0.6 - along - 0.5))
    return np.asarray(np.where(joint > 0.485, 0.72, tone), np.float64)


def _doors(
    colour: NDArray[np.float64],
    wall: NDArray[np.bool_],
    end: NDArray[np.bool_],
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    height: NDArray[np.float64],
) -> None:
    """Paint a double door in the end wall, and a door and a notice board in the side walls."""
    leaf = end & (np.abs(x) < 0.9) & (height < 2.1)
    colour[leaf] = _DOOR
    colour[leaf & ((np.abs(x) < 0.02) | (np.abs(x) > 0.84) | (height > 2.04))] = (70.0, 58.0, 48.0)
    colour[leaf & (np.abs(np.abs(x) - 0.42) < 0.16) & (np.abs(height - 1.5) < 0.28)] = 196.0
    side = wall & (x > 0) & (z > 7.6) & (z < 8.6) & (height < 2.1)
    colour[side] = (96.0, 104.0, 116.0)
    board = wall & (x < 0) & (z > 5.4) & (z < 7.4) & (np.abs(height - 1.65) < 0.35)
    colour[board] = (150.0, 122.0, 84.0)


def _light(
    z: NDArray[np.float64], height: NDArray[np.float64], floor: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the brightness: higher below the ceiling lights, lower in the distance."""
    lights = np.exp(-(((z[..., None] - _LIGHTS) / 0.9) ** 2)).sum(axis=-1)
    lights = (0.13 * lights) * np.where(floor, 1.2, 0.5 + 0.5 * height / CEILING)
    return np.asarray((0.78 + lights) * (1.06 - 0.014 * z), np.float64)


FACE_WIDTH = 0.15
"""Width of a face in metres."""
EYE_HEIGHT = 1.58
"""Height of the eyes of both people above the floor."""
_STEPS = 1.7
"""Steps per second."""


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera under the ceiling of a corridor."""

    width: int = 480
    """Width of the frame in pixels."""
    height: int = 270

    @property
    def focal(self) -> float:
        """Focal length in pixels: a field of view of 30 degrees."""
        return 1.875 * self.width

    @property
    def vanishing_point(self) -> tuple[float, float]:
        """Point of the frame where lines along the corridor converge."""
        return 0.5 * self.width - 0.5, 0.17 * self.height

    above_floor: float = 1.86
    """Height of the lens in metres."""


@dataclass(frozen=True)
class Walk:
    """The path of one person towards the camera; times are shares of the clip, 0 to 1."""

    person: Person
    face: tuple[float, float]
    """Width of the face, in pixels of a frame of 480, at the start and at the end."""
    lateral: tuple[float, float]
    """x in metres at the start and at the end."""
    tilt: float
    """Amplitude of the slow rotation of head and body, in degrees."""
    phase: float
    """Phase of steps and rotation in radians, so that the two people move independently."""
    masked_from: float
    """Share of the clip from which the person is masked."""

    def masked(self, share: float) -> bool:
        """Return whether the person is masked at `share` of the clip."""
        return share >= self.masked_from

    def matrix(self, camera: Camera, share: float, seconds: float) -> NDArray[np.float64]:
        """Return the similarity (2, 3) from pixels of the photograph to those of the frame.

        Args:
            camera: The camera.
            share: Elapsed share of the clip, 0 to 1.
            seconds: Time since the start.

        """
        far, near = (FACE_WIDTH * camera.focal * 480 / (face * camera.width) for face in self.face)
        metre = camera.focal / (far + (near - far) * share)
        step = 2.0 * np.pi * _STEPS * seconds + self.phase
        x = (
            self.lateral[0]
            + (self.lateral[1] - self.lateral[0]) * share
            + 0.02 * np.sin(0.5 * step)
        )
        rise = 0.015 * np.cos(step)
        rotation = self.tilt * np.sin(2.6 * seconds + self.phase) + 0.8 * np.sin(0.5 * step)
        left, top = camera.vanishing_point
        position = np.array(
            [left + x * metre, top + (camera.above_floor - EYE_HEIGHT - rise) * metre]
        )
        factor, angle = metre * FACE_WIDTH / self.person.face_width, np.deg2rad(rotation)
        cosine, sine = factor * np.cos(angle), factor * np.sin(angle)
        linear = np.array([[cosine, -sine], [sine, cosine]])
        eyes = self.person.points[:2].mean(axis=0)
        return np.column_stack([linear, position - linear @ eyes])


WALKS = (
    Walk(COLLINS, face=(24.0, 46.0), lateral=(0.62, 0.36), tilt=5.0, phase=2.0, masked_from=0.5),
    Walk(HOPPER, face=(23.0, 42.0), lateral=(-0.55, -0.38), tilt=6.0, phase=0.4, masked_from=0.0),
)
"""The two people, the farther one first: one is masked in the second half, one throughout."""

OVERSAMPLING = 3
"""Scene pixels per frame pixel along each side."""


@dataclass(frozen=True)
class ClipSettings:
    """Settings of the clip; equal settings give equal frames."""

    camera: Camera = field(default_factory=Camera)
    frames: int = 60
    rate: Fraction = Fraction(25, 2)
    """Frames per second."""
    seed: int = 0
    """Seed of masks and noise."""
    blur: float = 0.6
    """Standard deviation of the lens blur in frame pixels."""
    noise: float = 5.0
    """Standard deviation of the sensor noise at mid grey, in grey levels."""
    crf: int = 24
    """Constant rate factor of the encoder, 0 (best) to 51."""

    def share(self, frame: int) -> float:
        """Return the position of `frame` as a share of the clip, 0 to 1."""
        return frame / max(1, self.frames - 1)

    def matrix(self, walk: Walk, frame: int) -> NDArray[np.float64]:
        """Return the similarity (2, 3) from the photograph of `walk` to frame number `frame`."""
        return walk.matrix(self.camera, self.share(frame), float(frame / self.rate))


def build_clip(path: Path, settings: ClipSettings, progress: Progress) -> None:
    """Render and encode the clip.

    Raises:
        OutputError: The file cannot be written.

    """
    task = "rendering"
    progress.begin(task, settings.frames)
    try:
        source = _media_info(settings)
        width, height = settings.camera.width, settings.camera.height
        with VideoWriter(path, source, width, height, crf=settings.crf) as writer:
            for number, image in enumerate(render_frames(settings)):
                writer.write(image, number)
                progress.advance(task)
    finally:
        progress.end(task)


def render_frames(settings: ClipSettings) -> Iterator[Image]:
    """Yield the frames before encoding, RGB uint8 (H, W, 3)."""
    backdrop = draw_corridor(settings.camera, OVERSAMPLING)
    layers = [_layers(walk.person, settings.seed) for walk in WALKS]
    rng = np.random.default_rng(settings.seed)
    for frame in range(settings.frames):
        scene = backdrop.copy()
        for walk, (bare, masked) in zip(WALKS, layers, strict=True):
            layer = masked if walk.masked(settings.share(frame)) else bare
            _composite(scene, layer, settings.matrix(walk, frame))
        yield _expose(scene, frame, settings, rng)


def _layers(person: Person, seed: int) -> tuple[PersonLayer, PersonLayer]:
    """Return `person` without and with a mask."""
    photograph = person.load()
    with_mask = add_mask(person, photograph, seed)
    return cut_out_person(person, photograph), cut_out_person(person, with_mask)


def add_mask(person: Person, photograph: Image, seed: int) -> Image:
    """Return the photograph with a mask from `synthesis.masks`."""
    from jdsr_cli.synthesis.mask_drawing import draw_sprites
    from jdsr_cli.synthesis.masks import apply_mask, choose_sprite, landmarks_from_five, rng_for

    rng = rng_for(person.name, seed)
    landmarks = landmarks_from_five(person.points)
    sprite = choose_sprite(draw_sprites(24, seed), landmarks, rng)
    return apply_mask(photograph, landmarks, sprite, rng, jitter=0.3).image


def _composite(scene: NDArray[np.float32], layer: PersonLayer, matrix: NDArray[np.float64]) -> None:
    """Composite a person onto `scene` in place; `matrix` maps the photograph to the frame."""
    enlarged = OVERSAMPLING * matrix
    enlarged[:, 2] += 0.5 * OVERSAMPLING - 0.5
    enlarged[:, 2] -= enlarged[:, :2] @ np.array(layer.origin)
    size = (scene.shape[1], scene.shape[0])
    warped = cv2.warpAffine(layer.premultiplied, enlarged, size, flags=cv2.INTER_LINEAR)
    scene *= 1.0 - warped[..., 3:]
    scene += warped[..., :3]


def _expose(
    scene: NDArray[np.float32], frame: int, settings: ClipSettings, rng: np.random.Generator
) -> Image:
    """Return the camera frame of a scene: blur, vignette, contrast, saturation, noise, caption."""
    size = (settings.camera.width, settings.camera.height)
    image = cv2.resize(scene, size, interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), settings.blur)
    grey = image @ np.array(LUMA_WEIGHTS, np.float32)
    image = grey[..., None] + 0.78 * (image - grey[..., None])
    lamp_tint = np.array([0.97, 1.0, 0.98], np.float32)
    image = (14.0 + 0.88 * image) * _vignette(size)[..., None] * lamp_tint
    common = rng.normal(0.0, settings.noise, (size[1], size[0], 1))
    colour = rng.normal(0.0, 0.5 * settings.noise, (size[1], size[0], 3))
    image = image + (common + colour) * (1.3 - 0.6 * image / 255.0)
    frame_image: Image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    seconds = float(frame / settings.rate)
    text = f"CAM 02  CORRIDOR  00:00:{seconds:05.2f}"
    cv2.putText(
        frame_image, text, (6, 14), cv2.FONT_HERSHEY_PLAIN, 0.7, (235, 235, 235), 1,
        cv2.LINE_AA,
    )  # fmt: skip
    return frame_image


def _vignette(size: tuple[int, int]) -> NDArray[np.float32]:
    x, y = (np.linspace(-1.0, 1.0, side, dtype=np.float32) for side in size)
    return np.asarray(1.0 - 0.16 * (x[None, :] ** 2 + y[:, None] ** 2), np.float32)


def _media_info(settings: ClipSettings) -> MediaInfo:
    """Return media information for the rendered frames."""
    return MediaInfo(
        path=Path("frames"),
        kind="animation",
        width=settings.camera.width,
        height=settings.camera.height,
        rotation=0,
        mirrored=False,
        time_base=1 / settings.rate,
        timestamps=True,
        frame_rate=settings.rate,
        frames_promised=settings.frames,
        duration=settings.frames / settings.rate,
        container="frames",
        codec="rawvideo",
        pixel_format="rgb24",
        sample_aspect_ratio=Fraction(1),
        colour_range="limited",
        colour_primaries="bt709",
        colour_transfer="bt709",
        colour_matrix="bt709",
        audio_streams=0,
    )
