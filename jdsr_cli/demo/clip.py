"""Filming the scene: people before the corridor, through a poor camera, into an H.264 file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.demo.corridor import draw_corridor
from jdsr_cli.demo.people import Layer, Person, cut_out
from jdsr_cli.demo.scene import WALKS, Camera, Walk
from jdsr_cli.media import Image, MediaInfo, VideoWriter
from jdsr_cli.progress import Progress

FACTOR = 3
"""Scene pixels for each pixel of the frame, along each side."""


@dataclass(frozen=True)
class ClipSettings:
    """The clip to be made; equal settings make equal frames."""

    camera: Camera = field(default_factory=Camera)
    frames: int = 60
    rate: Fraction = Fraction(25, 2)
    """Frames in a second."""
    seed: int = 0
    """Of masks and noise."""
    blur: float = 0.6
    """Standard deviation of the lens's blur in pixels of the frame."""
    noise: float = 5.0
    """Standard deviation of the sensor's noise in grey levels of mid grey."""
    crf: int = 24
    """Of the encoder, 0 (best) to 51."""

    def share(self, frame: int) -> float:
        """Part of the clip's length at which `frame` lies, 0 to 1."""
        return frame / max(1, self.frames - 1)

    def matrix(self, walk: Walk, frame: int) -> NDArray[np.float64]:
        """Return the similarity (2, 3) from the photograph of `walk` to frame number `frame`."""
        return walk.matrix(self.camera, self.share(frame), float(frame / self.rate))


def build_clip(path: Path, settings: ClipSettings, progress: Progress) -> None:
    """Write the clip.

    Raises:
        OutputError: It cannot be written.

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
    """Yield the frames as the camera gives them to the encoder, RGB uint8 (H, W, 3)."""
    backdrop = draw_corridor(settings.camera, FACTOR)
    layers = [_layers(walk.person, settings.seed) for walk in WALKS]
    rng = np.random.default_rng(settings.seed)
    for frame in range(settings.frames):
        scene = backdrop.copy()
        for walk, (bare, masked) in zip(WALKS, layers, strict=True):
            layer = masked if walk.masked(settings.share(frame)) else bare
            _put(scene, layer, settings.matrix(walk, frame))
        yield _expose(scene, frame, settings, rng)


def _layers(person: Person, seed: int) -> tuple[Layer, Layer]:
    """Return `person` without and with a mask."""
    photograph = person.load()
    dressed = put_on_mask(person, photograph, seed)
    return cut_out(person, photograph), cut_out(person, dressed)


def put_on_mask(person: Person, photograph: Image, seed: int) -> Image:
    """Return the photograph with a mask on, drawn by the mask wearer of the training package."""
    from jdsr_cli.synthesis.mask_drawing import draw_sprites
    from jdsr_cli.synthesis.masks import apply_mask, choose_sprite, landmarks_from_five, rng_for

    rng = rng_for(person.name, seed)
    landmarks = landmarks_from_five(person.points)
    sprite = choose_sprite(draw_sprites(24, seed), landmarks, rng)
    return apply_mask(photograph, landmarks, sprite, rng, jitter=0.3).image


def _put(scene: NDArray[np.float32], layer: Layer, matrix: NDArray[np.float64]) -> None:
    """Lay a person over `scene` in place; `matrix` leads from the photograph to the frame."""
    enlarged = FACTOR * matrix
    enlarged[:, 2] += 0.5 * FACTOR - 0.5
    enlarged[:, 2] -= enlarged[:, :2] @ np.array(layer.origin)
    size = (scene.shape[1], scene.shape[0])
    worn = cv2.warpAffine(layer.premultiplied, enlarged, size, flags=cv2.INTER_LINEAR)
    scene *= 1.0 - worn[..., 3:]
    scene += worn[..., :3]


def _expose(
    scene: NDArray[np.float32], frame: int, settings: ClipSettings, rng: np.random.Generator
) -> Image:
    """Film one scene: lens, vignette, flat contrast, pale colours, noise, and the camera's text."""
    size = (settings.camera.width, settings.camera.height)
    image = cv2.resize(scene, size, interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), settings.blur)
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32)
    image = grey[..., None] + 0.78 * (image - grey[..., None])
    cast_of_lamps = np.array([0.97, 1.0, 0.98], np.float32)
    image = (14.0 + 0.88 * image) * _vignette(size)[..., None] * cast_of_lamps
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
    """Say of the frames what a file that held them would say."""
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
