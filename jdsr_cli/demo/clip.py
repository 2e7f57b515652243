"""Render the clip: people in front of the corridor, camera degradation, H.264 encoding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import LUMA_WEIGHTS
from jdsr_cli.demo.people import Person, PersonLayer, cut_out_person
from jdsr_cli.demo.scene import WALKS, Camera, Walk, draw_corridor
from jdsr_cli.media import Image, MediaInfo, VideoWriter
from jdsr_cli.progress import Progress

FACTOR = 3
"""Scene pixels for each pixel of the frame, along each side."""


@dataclass(frozen=True)
class ClipSettings:
    """Settings of the clip; equal settings give equal frames."""

    camera: Camera = field(default_factory=Camera)
    frames: int = 60
    rate: Fraction = Fraction(25, 2)
    """Frames in a second."""
    seed: int = 0
    """Seed of masks and noise."""
    blur: float = 0.6
    """Standard deviation of the lens's blur in pixels of the frame."""
    noise: float = 5.0
    """Standard deviation of the sensor's noise in grey levels of mid grey."""
    crf: int = 24
    """Constant rate factor of the encoder, 0 (best) to 51."""

    def share(self, frame: int) -> float:
        """Return the position of `frame` as a share of the clip, 0 to 1."""
        return frame / max(1, self.frames - 1)

    def matrix(self, walk: Walk, frame: int) -> NDArray[np.float64]:
        """Return the similarity (2, 3) from the photograph of `walk` to frame number `frame`."""
        return walk.matrix(self.camera, self.share(frame), float(frame / self.rate))


def build_clip(path: Path, settings: ClipSettings, progress: Progress) -> None:
    """Write the clip.

    Raises:
        OutputError: The file cannot be written.

    """
    task = "filming"
    progress.begin(task, settings.frames)
    try:
        source = _describe(settings)
        width, height = settings.camera.width, settings.camera.height
        with VideoWriter(path, source, width, height, crf=settings.crf) as writer:
            for number, image in enumerate(film(settings)):
                writer.write(image, number)
                progress.advance(task)
    finally:
        progress.end(task)


def film(settings: ClipSettings) -> Iterator[Image]:
    """Yield the frames before encoding, RGB uint8 (H, W, 3)."""
    backdrop = draw_corridor(settings.camera, FACTOR)
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
    enlarged = FACTOR * matrix
    enlarged[:, 2] += 0.5 * FACTOR - 0.5
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
    finished: Image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    seconds = float(frame / settings.rate)
    text = f"CAM 02  CORRIDOR  00:00:{seconds:05.2f}"
    cv2.putText(
        finished, text, (6, 14), cv2.FONT_HERSHEY_PLAIN, 0.7, (235, 235, 235), 1,
        cv2.LINE_AA,
    )  # fmt: skip
    return finished


def _vignette(size: tuple[int, int]) -> NDArray[np.float32]:
    x, y = (np.linspace(-1.0, 1.0, side, dtype=np.float32) for side in size)
    return np.asarray(1.0 - 0.16 * (x[None, :] ** 2 + y[:, None] ** 2), np.float32)


def _describe(settings: ClipSettings) -> MediaInfo:
    """Return media information of the frames, as of a file."""
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
