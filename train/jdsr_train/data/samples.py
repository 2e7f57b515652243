"""Training samples: a face, a mask or none, a degradation; each a pure function of its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from jdsr_train.data.face_set import FaceSet
from jdsr_train.data.labels import (
    HEAT_SIGMA,
    MAP_SIZE,
    heat_maps,
    mirror_labels,
    mirror_points,
    moved,
    moved_labels,
)
from jdsr_train.data.streams import SampleNumbers, numbered_batches, shuffled
from jdsr_train.degradations import CameraSettings, Pair, degrade_camera, degrade_paper
from jdsr_train.masks import Sprite, choose, rng_for, wear


@dataclass(frozen=True)
class Batch:
    """Samples side by side; images are float32 RGB in [0, 1]."""

    lr: Tensor
    """(B, 3, s, s)."""
    lr_clean: Tensor
    """(B, 3, s, s)."""
    hr: Tensor
    """(B, 3, 128, 128)."""
    occlusion: Tensor
    """(B, 1, s, s) in [0, 1]."""
    heat_maps: Tensor | None = None
    """(B, P, 64, 64) in [0, 1], one for each of the set's `heat_points`; with priors only."""
    parsing: Tensor | None = None
    """(B, 64, 64) int64 classes of the 11, -1 where unknown; with priors only."""
    identity: Tensor | None = None
    """(B,) int64 place in the set's `people`, -1 where unknown; with priors, of a set that
    names its people."""


@dataclass(frozen=True)
class Sample(Pair):
    """A pair with what the prior and identity networks learn of it, where that is asked."""

    heat_maps: NDArray[np.float32] | None = None
    """(P, 64, 64) of the face without mask."""
    parsing: NDArray[np.int64] | None = None
    """(64, 64), -1 where unknown."""
    identity: int | None = None


@dataclass(frozen=True)
class SampleSettings:
    """How a face becomes a sample."""

    lr_size: int
    degradation: str
    """`paper` or `camera`."""
    masked: float
    """Share of faces that wear a mask."""
    camera: CameraSettings = field(default_factory=CameraSettings)
    """Used by the camera degradation."""
    priors: bool = False
    """Whether samples carry heat maps, parsing labels and identities."""
    heat_sigma: float = HEAT_SIGMA
    """Standard deviation of a landmark's heat map, in pixels of 64."""


class Degrader:
    """Makes the low-resolution, possibly masked picture of one face."""

    def __init__(self, sprites: Sequence[Sprite], settings: SampleSettings) -> None:
        self.sprites = sprites
        self.settings = settings

    def __call__(
        self,
        face: NDArray[np.uint8],
        landmarks: NDArray[np.float32],
        rng: np.random.Generator,
        masked: bool | None = None,
    ) -> tuple[Pair, NDArray[np.float32]]:
        """Degrade a face; with `masked` None the settings' share decides.

        Returns:
            The pair, and the (128, 128) alpha of the mask before any degradation.

        """
        if masked is None:
            masked = rng.random() < self.settings.masked
        scene, alpha = face, np.zeros(face.shape[:2], np.float32)
        if masked:
            worn = wear(face, landmarks, choose(self.sprites, landmarks, rng), rng)
            scene, alpha = worn.image, worn.alpha
        size = self.settings.lr_size
        if self.settings.degradation == "paper":
            return degrade_paper(face, scene, alpha, size), alpha
        return degrade_camera(face, scene, alpha, size, rng, self.settings.camera), alpha


class TrainingSamples(Dataset[Sample]):
    """Sample number n of an endless, shuffled, augmented stream of faces."""

    def __init__(self, faces: FaceSet, degrader: Degrader, seed: int) -> None:
        self.faces = faces
        self.degrader = degrader
        self.seed = seed

    def __getitem__(self, number: int) -> Sample:
        """Return the sample; the same number always gives the same bytes."""
        epoch, place = divmod(number, len(self.faces))
        index = int(shuffled(len(self.faces), self.seed, epoch)[place])
        rng = np.random.default_rng((self.seed, epoch, index))
        face = np.asarray(self.faces.images[index])
        landmarks = self.faces.landmarks[index]
        mirrored = rng.random() < 0.5
        if mirrored:
            face, landmarks = mirror(face, landmarks)
        pair, _ = self.degrader(face, landmarks, rng)
        sample = Sample(pair.lr, pair.lr_clean, pair.hr, pair.occlusion, pair.matrix)
        return self._with_priors(sample, index, mirrored) if self._priors else sample

    @property
    def _priors(self) -> bool:
        return self.degrader.settings.priors

    def _with_priors(self, sample: Sample, index: int, mirrored: bool) -> Sample:
        points = np.asarray(self.faces.heat_points[index])
        people = self.faces.person_of
        if mirrored:
            points = mirror_points(points)
        if sample.matrix is not None:
            points = moved(points, sample.matrix)
        parsing = np.full((MAP_SIZE, MAP_SIZE), -1, np.int64)
        if self.faces.parsing is not None:
            labels = np.asarray(self.faces.parsing[index])
            if mirrored:
                labels = mirror_labels(labels)
            if sample.matrix is not None:
                labels = moved_labels(labels, sample.matrix)
            parsing = labels.astype(np.int64)
        return replace(
            sample,
            heat_maps=heat_maps(points, sigma=self.degrader.settings.heat_sigma),
            parsing=parsing,
            identity=None if people is None else int(people[index]),
        )

    def batches(
        self, size: int, first: int, last: int, workers: int, *, rank: int = 0, world: int = 1
    ) -> Iterator[Batch]:
        """Batches number `first` up to and without `last`; no global random state is touched.

        Args:
            size: Faces of a batch of one process.
            first: Number of the first batch.
            last: Number after the last one.
            workers: Processes that make samples; 0 makes them here.
            rank: Place of this process among `world`.
            world: Number of processes. Batch n of all of them together is batch n of one
                process with `size * world` faces.

        """
        numbers = SampleNumbers(size, first, last, rank, world)
        return numbered_batches(self, collate, numbers, workers)


def mirror(
    face: NDArray[np.uint8], landmarks: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Flip a face left to right, and its points with it, renumbered."""
    return np.ascontiguousarray(face[:, ::-1]), mirror_points(landmarks, face.shape[1])


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a batch; what one of them lacks, the batch lacks."""
    heats = [sample.heat_maps for sample in samples if sample.heat_maps is not None]
    parsings = [sample.parsing for sample in samples if sample.parsing is not None]
    people = [sample.identity for sample in samples if sample.identity is not None]
    whole = len(samples)
    return Batch(
        lr=to_tensor([sample.lr for sample in samples]),
        lr_clean=to_tensor([sample.lr_clean for sample in samples]),
        hr=to_tensor([sample.hr for sample in samples]),
        occlusion=torch.from_numpy(np.stack([sample.occlusion for sample in samples])[:, None]),
        heat_maps=torch.from_numpy(np.stack(heats)) if len(heats) == whole else None,
        parsing=torch.from_numpy(np.stack(parsings)) if len(parsings) == whole else None,
        identity=torch.tensor(people) if len(people) == whole else None,
    )


def to_tensor(images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Tensor:
    """Stack uint8 (H, W, 3) pictures to float32 (B, 3, H, W) in [0, 1]."""
    stacked = torch.from_numpy(np.stack(list(images)))
    return stacked.permute(0, 3, 1, 2).contiguous().float() / 255.0


@dataclass(frozen=True)
class Exam:
    """A face as every compared method sees it: deterministic by its key."""

    key: str
    pair: Pair
    alpha: NDArray[np.float32]
    """(128, 128) of the mask as worn, before degradation; zero without a mask."""


def exams(
    faces: FaceSet, degrader: Degrader, *, masked: bool, seed: int = 0, limit: int | None = None
) -> Iterator[Exam]:
    """Faces of a validation or test set, each with the mask and camera its key draws.

    With `limit`, evenly spaced faces of the set.
    """
    count = len(faces) if limit is None else min(limit, len(faces))
    for place in range(count):
        index = place * len(faces) // count
        key = faces.keys[index]
        face = np.asarray(faces.images[index])
        pair, alpha = degrader(face, faces.landmarks[index], rng_for(key, seed), masked)
        yield Exam(key, pair, alpha)
