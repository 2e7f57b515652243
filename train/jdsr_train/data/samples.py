"""Training samples: a face, a mask or none, a degradation; each a pure function of its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from jdsr_cli.datasets.cropping import map_points
from jdsr_cli.datasets.face_set import MAP_SIZE, FaceSet
from jdsr_cli.datasets.samples import HEAT_SIGMA, Degrader, stack
from jdsr_cli.synthesis.paper_degradation import DegradedPair
from jdsr_train.data.batches import PackedBatch, SampleNumbers, numbered_batches, shuffled
from jdsr_train.data.labels import mirror_labels, mirror_points, moved_labels


@dataclass(frozen=True)
class TrainingSample(DegradedPair):
    """A pair with what the prior and identity networks learn of it, where that is asked."""

    heat_points: NDArray[np.float32] | None = None
    """(P, 2) x, y of the landmarks in pixels of `hr`."""
    parsing: NDArray[np.int8] | None = None
    """(64, 64), -1 where unknown."""
    identity: int | None = None


class TrainingSamples(Dataset[TrainingSample]):
    """Sample number n of an endless, shuffled, augmented stream of faces."""

    def __init__(self, faces: FaceSet, degrader: Degrader, seed: int) -> None:
        self.faces = faces
        self.degrader = degrader
        self.seed = seed

    def __getitem__(self, number: int) -> TrainingSample:
        """Return the sample; the same number always gives the same bytes."""
        epoch, position = divmod(number, len(self.faces))
        index = int(shuffled(len(self.faces), self.seed, epoch)[position])
        rng = np.random.default_rng((self.seed, epoch, index))
        face = np.asarray(self.faces.images[index])
        landmarks = self.faces.landmarks[index]
        mirrored = rng.random() < 0.5
        if mirrored:
            face, landmarks = mirror(face, landmarks)
        pair, _ = self.degrader(face, landmarks, rng, canonical=self.degrader.settings.canonical)
        sample = TrainingSample(pair.lr, pair.lr_clean, pair.hr, pair.occlusion, pair.matrix)
        return self._with_priors(sample, index, mirrored) if self._priors else sample

    @property
    def _priors(self) -> bool:
        return self.degrader.settings.priors

    def _with_priors(self, sample: TrainingSample, index: int, mirrored: bool) -> TrainingSample:
        points = np.asarray(self.faces.heat_points[index])
        people = self.faces.person_of
        if mirrored:
            points = mirror_points(points)
        if sample.matrix is not None:
            points = map_points(points, sample.matrix)
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


def collate(samples: Sequence[TrainingSample], heat_sigma: float = HEAT_SIGMA) -> PackedBatch:
    """Stack samples into a batch; what one of them lacks, the batch lacks."""
    points = [sample.heat_points for sample in samples if sample.heat_points is not None]
    parsings = [sample.parsing for sample in samples if sample.parsing is not None]
    people = [sample.identity for sample in samples if sample.identity is not None]
    whole = len(samples)
    return PackedBatch(
        lr=stack([sample.lr for sample in samples]),
        lr_clean=stack([sample.lr_clean for sample in samples]),
        hr=stack([sample.hr for sample in samples]),
        occlusion=stack([sample.occlusion for sample in samples])[:, None],
        heat_points=stack(points) if len(points) == whole else None,
        parsing=stack(parsings) if len(parsings) == whole else None,
        identity=torch.tensor(people) if len(people) == whole else None,
        heat_sigma=heat_sigma,
    )
