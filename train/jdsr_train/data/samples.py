"""Training samples: a face, a mask or none, a degradation; each a pure function of its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from jdsr_cli.synthesis.degradations import CameraSettings, Pair, degrade_paper, film, to_pair
from jdsr_cli.synthesis.masks import Position, Sprite, choose, rng_for, wear
from jdsr_cli.synthesis.occluders import Scene, occlude
from jdsr_train.data.batches import PackedBatch, stacked
from jdsr_train.data.face_set import FaceSet
from jdsr_train.data.labels import (
    HEAT_SIGMA,
    MAP_SIZE,
    mirror_labels,
    mirror_points,
    moved,
    moved_labels,
)
from jdsr_train.data.streams import SampleNumbers, numbered_batches, shuffled

UNDER_NOSE = 0.6
"""Share of lowered masks that still cover the mouth; the others are worn under the chin."""


@dataclass(frozen=True)
class Sample(Pair):
    """A pair with what the prior and identity networks learn of it, where that is asked."""

    heat_points: NDArray[np.float32] | None = None
    """(P, 2) x, y of the landmarks in pixels of `hr`."""
    parsing: NDArray[np.int8] | None = None
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
    occluded: float = 0.0
    """Share of faces that have something before them that is no mask; camera degradation only."""
    lowered: float = 0.0
    """Share of masks that are worn under the nose or the chin; camera degradation only."""
    canonical: bool = False
    """Whether training samples are brought to canonical colours; camera degradation only. Faces
    that are measured (`exams`) are always as they were filmed."""
    priors: bool = False
    """Whether samples carry landmarks, parsing labels and identities."""
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
        canonical: bool = False,
    ) -> tuple[Pair, NDArray[np.float32]]:
        """Degrade a face; with `masked` None the settings' share decides.

        Returns:
            The pair, and the (128, 128) alpha of the mask before any degradation.

        """
        settings = self.settings
        if masked is None:
            masked = rng.random() < settings.masked
        paper = settings.degradation == "paper"
        scene = Scene(face, face, np.zeros(face.shape[:2], np.float32))
        if masked:
            # No number is drawn without need: recipes without these keep their samples.
            position: Position = "nose"
            if not paper and settings.lowered and rng.random() < settings.lowered:
                position = "under nose" if rng.random() < UNDER_NOSE else "chin"
            sprite = choose(self.sprites, landmarks, rng)
            worn = wear(face, landmarks, sprite, rng, position=position)
            scene = Scene(face, worn.image, worn.alpha)
        if not paper and settings.occluded and rng.random() < settings.occluded:
            scene = occlude(scene, landmarks, rng)
        clean, masked_face, alpha = scene.clean, scene.masked, scene.alpha
        if paper:
            return degrade_paper(clean, masked_face, alpha, settings.lr_size), alpha
        filmed = film(clean, masked_face, alpha, settings.lr_size, rng, settings.camera)
        return to_pair(filmed, rng, canonical=canonical), alpha


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
        pair, _ = self.degrader(face, landmarks, rng, canonical=self.degrader.settings.canonical)
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
        parsing = np.full((MAP_SIZE, MAP_SIZE), -1, np.int8)
        if self.faces.parsing is not None:
            labels = np.asarray(self.faces.parsing[index])
            if mirrored:
                labels = mirror_labels(labels)
            if sample.matrix is not None:
                labels = moved_labels(labels, sample.matrix)
            parsing = labels.astype(np.int8)
        return replace(
            sample,
            heat_points=np.asarray(points, np.float32),
            parsing=parsing,
            identity=None if people is None else int(people[index]),
        )

    def batches(
        self, size: int, first: int, last: int, workers: int, *, rank: int = 0, world: int = 1
    ) -> Iterator[PackedBatch]:
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
        stack = partial(collate, heat_sigma=self.degrader.settings.heat_sigma)
        return numbered_batches(self, stack, numbers, workers)


def mirror(
    face: NDArray[np.uint8], landmarks: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Flip a face left to right, and its points with it, renumbered."""
    return np.ascontiguousarray(face[:, ::-1]), mirror_points(landmarks, face.shape[1])


def collate(samples: Sequence[Sample], heat_sigma: float = HEAT_SIGMA) -> PackedBatch:
    """Stack samples into a batch; what one of them lacks, the batch lacks."""
    points = [sample.heat_points for sample in samples if sample.heat_points is not None]
    parsings = [sample.parsing for sample in samples if sample.parsing is not None]
    people = [sample.identity for sample in samples if sample.identity is not None]
    whole = len(samples)
    return PackedBatch(
        lr=stacked([sample.lr for sample in samples]),
        lr_clean=stacked([sample.lr_clean for sample in samples]),
        hr=stacked([sample.hr for sample in samples]),
        occlusion=stacked([sample.occlusion for sample in samples])[:, None],
        heat_points=stacked(points) if len(points) == whole else None,
        parsing=stacked(parsings) if len(parsings) == whole else None,
        identity=torch.tensor(people) if len(people) == whole else None,
        heat_sigma=heat_sigma,
    )


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
