"""Degraded samples of aligned faces: masks, occluders and a degradation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jdsr_cli.datasets.face_set import FaceSet, subset
from jdsr_cli.synthesis.camera import record, to_pair
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.compression import DegradedPair, degrade_paper
from jdsr_cli.synthesis.masks import Position, Sprite, apply_mask, choose_sprite, rng_for
from jdsr_cli.synthesis.occluder_scene import Scene
from jdsr_cli.synthesis.occluders import occlude

HEAT_SIGMA = 1.5
"""Standard deviation of a heat map's peak in its own pixels (SPEC 3)."""

UNDER_NOSE = 0.6
"""Share of lowered masks that still cover the mouth; the others are below the lower lip."""


@dataclass(frozen=True)
class SampleSettings:
    """Settings of the degradation of faces."""

    lr_size: int
    degradation: str
    """`paper` or `camera`."""
    masked: float
    """Share of faces with a mask."""
    camera: CameraSettings = field(default_factory=CameraSettings)
    """Used by the camera degradation."""
    occluded: float = 0.0
    """Share of faces with an occluder other than a mask; camera degradation only."""
    lowered: float = 0.0
    """Share of masks below the nose or the lower lip; camera degradation only."""
    canonical: bool = False
    """Whether training samples are converted to canonical colours; camera degradation only.
    Evaluation samples (`evaluation_samples`) are never converted."""
    priors: bool = False
    """Whether samples carry landmarks, parsing labels and identities."""
    heat_sigma: float = HEAT_SIGMA
    """Standard deviation of a landmark's heat map, in pixels of 64."""


class Degrader:
    """Creates the low-resolution, possibly masked image of a face."""

    def __init__(self, sprites: Sequence[Sprite], settings: SampleSettings) -> None:
        self.sprites = sprites
        self.settings = settings

    def __call__(
        self,
        face: NDArray[np.uint8],
        landmarks: NDArray[np.float32],
        rng: np.random.Generator,
        masked: bool | None = None,
        canonical: bool = False,
    ) -> tuple[DegradedPair, NDArray[np.float32]]:
        """Degrade a face; with `masked` None a mask is drawn with the probability of the settings.

        Returns:
            The pair, and the (128, 128) alpha of the mask before any degradation.

        """
        settings = self.settings
        if masked is None:
            masked = rng.random() < settings.masked
        paper = settings.degradation == "paper"
        scene = Scene(face, face, np.zeros(face.shape[:2], np.float32))
        if masked:
            # A probability of 0 draws no number: recipes without it keep their samples.
            position: Position = "nose"
            if not paper and settings.lowered and rng.random() < settings.lowered:
                position = "under nose" if rng.random() < UNDER_NOSE else "chin"
            sprite = choose_sprite(self.sprites, landmarks, rng)
            with_mask = apply_mask(face, landmarks, sprite, rng, position=position)
            scene = Scene(face, with_mask.image, with_mask.alpha)
        if not paper and settings.occluded and rng.random() < settings.occluded:
            scene = occlude(scene, landmarks, rng)
        clean, masked_face, alpha = scene.clean, scene.masked, scene.alpha
        if paper:
            return degrade_paper(clean, masked_face, alpha, settings.lr_size), alpha
        recording = record(clean, masked_face, alpha, settings.lr_size, rng, settings.camera)
        return to_pair(recording, rng, canonical=canonical), alpha


@dataclass(frozen=True)
class EvaluationSample:
    """The degraded face that every compared method receives; it depends only on its key."""

    key: str
    pair: DegradedPair
    alpha: NDArray[np.float32]
    """(128, 128) alpha of the mask before degradation; zero without a mask."""

    @property
    def inputs(self) -> NDArray[np.uint8]:
        """The pictures that the methods receive: the degraded face, (s, s, 3)."""
        return self.pair.lr


def evaluation_samples(
    faces: FaceSet, degrader: Degrader, *, masked: bool, seed: int = 0, limit: int | None = None
) -> Iterator[EvaluationSample]:
    """Yield faces of a validation or test set, each with a mask and camera seeded by its key.

    With `limit`, evenly spaced faces of the set are taken.
    """
    count = len(faces) if limit is None else min(limit, len(faces))
    for position in range(count):
        index = position * len(faces) // count
        key = faces.keys[index]
        face = np.asarray(faces.images[index])
        pair, alpha = degrader(face, faces.landmarks[index], rng_for(key, seed), masked)
        yield EvaluationSample(key, pair, alpha)


@dataclass(frozen=True)
class EvaluationFaces:
    """Faces and their deterministic degradation."""

    faces: FaceSet
    degrader: Degrader

    def samples(self, kind: str) -> Iterator[EvaluationSample]:
        """Yield the samples of all faces: with masks for `masked`, bare for `plain` and `sharp`."""
        return evaluation_samples(self.faces, self.degrader, masked=kind == "masked")

    def samples_at(self, kind: str, indices: Sequence[int]) -> list[EvaluationSample]:
        """Return the samples of selected faces."""
        return list(replace(self, faces=subset(self.faces, indices)).samples(kind))


def stack(arrays: Sequence[NDArray[Any]] | NDArray[Any]) -> Tensor:
    """Stack arrays of one shape to a tensor (B, ...) of the same type."""
    return torch.from_numpy(np.stack(list(arrays)))


def images_on_device(device: torch.device | str, pictures: Tensor) -> Tensor:
    """Copy uint8 (B, H, W, 3) pictures to a device as float32 (B, 3, H, W) in [0, 1].

    The result is channels last, as the networks are.
    """
    return pictures.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255.0


def to_tensor(images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Tensor:
    """Stack uint8 (H, W, 3) pictures to float32 (B, 3, H, W) in [0, 1], on the CPU."""
    return images_on_device("cpu", stack(images)).contiguous()
