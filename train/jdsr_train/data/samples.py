"""Training samples and their batches: a face, with or without a mask, and a degradation.

Images are transferred between processes as bytes and landmarks as points; heat maps and float
images are computed on the training device, since a packed sample is a tenth as large. A sample
depends on its number alone, so that a run can continue at any batch, and batch n of several
processes together is batch n of a single one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Generic, Self, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from jdsr_cli.datasets.cropping import map_points
from jdsr_cli.datasets.face_set import MAP_SIZE, FaceSet
from jdsr_cli.datasets.samples import HEAT_SIGMA, Degrader, images_on_device, stack
from jdsr_cli.synthesis.compression import DegradedPair
from jdsr_train.data.labels import heat_maps, mirror_labels, mirror_points, moved_labels
from jdsr_train.processes import without_lost_peers

JAW_POINTS = 17
"""Number of the first iBUG landmarks, which follow the jaw from ear to ear."""


@dataclass(frozen=True)
class TrainingSample(DegradedPair):
    """A pair with the jaw line, and the targets of the prior and identity networks if required."""

    jaw: NDArray[np.float32] | None = None
    """(17, 2) x, y of the jaw line in pixels of `hr`."""
    heat_points: NDArray[np.float32] | None = None
    """(P, 2) x, y of the landmarks in pixels of `hr`."""
    parsing: NDArray[np.int8] | None = None
    """(64, 64), -1 where unknown."""
    identity: int | None = None


class TrainingSamples(Dataset[TrainingSample]):
    """An endless, shuffled, augmented stream of numbered samples."""

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
        jaw = landmarks[:JAW_POINTS]
        if pair.matrix is not None:
            jaw = map_points(jaw, pair.matrix)
        sample = TrainingSample(
            pair.lr, pair.lr_clean, pair.hr, pair.occlusion, pair.native_width, pair.matrix,
            np.asarray(jaw, np.float32),
        )  # fmt: skip
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
        """Iterate over the batches `first` to `last` - 1, without use of the global random state.

        Args:
            size: Number of faces in a batch of one process.
            first: Number of the first batch.
            last: Number after the last one.
            workers: Processes that prepare samples; 0: this process prepares them.
            rank: Rank of this process, from 0.
            world: Number of processes. Batch n of all processes together is batch n of a single
                process with `size * world` faces.

        """
        numbers = SampleNumbers(size, first, last, rank, world)
        stack = partial(collate, heat_sigma=self.degrader.settings.heat_sigma)
        return numbered_batches(self, stack, numbers, workers)


def mirror(
    face: NDArray[np.uint8], landmarks: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Mirror a face and its points left to right, and reorder the points."""
    return np.ascontiguousarray(face[:, ::-1]), mirror_points(landmarks, face.shape[1])


def collate(samples: Sequence[TrainingSample], heat_sigma: float = HEAT_SIGMA) -> PackedBatch:
    """Stack samples into a batch; a target is None if a sample does not have it."""
    jaws = [sample.jaw for sample in samples if sample.jaw is not None]
    points = [sample.heat_points for sample in samples if sample.heat_points is not None]
    parsings = [sample.parsing for sample in samples if sample.parsing is not None]
    people = [sample.identity for sample in samples if sample.identity is not None]
    count = len(samples)
    return PackedBatch(
        lr=stack([sample.lr for sample in samples]),
        lr_clean=stack([sample.lr_clean for sample in samples]),
        hr=stack([sample.hr for sample in samples]),
        occlusion=stack([sample.occlusion for sample in samples])[:, None],
        jaw=stack(jaws) if len(jaws) == count else None,
        heat_points=stack(points) if len(points) == count else None,
        parsing=stack(parsings) if len(parsings) == count else None,
        identity=torch.tensor(people) if len(people) == count else None,
        heat_sigma=heat_sigma,
    )


ReadyT = TypeVar("ReadyT")


class Packed(ABC, Generic[ReadyT]):
    """A batch on the host, before its transfer: a dataclass of tensors, None and numbers."""

    @abstractmethod
    def unpack(self, device: torch.device | str) -> ReadyT:
        """Return the batch as networks take it, on a device, without waiting for the copies."""

    def pin_memory(self) -> Self:
        """Return the batch in pinned memory, from which a GPU copies while it computes."""
        pinned: dict[str, Any] = {
            name: value.pin_memory() if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
        }
        return type(self)(**pinned)


@dataclass(frozen=True)
class Batch:
    """A batch of samples; images are float32 RGB in [0, 1]."""

    lr: Tensor
    """(B, 3, s, s)."""
    lr_clean: Tensor
    """(B, 3, s, s)."""
    hr: Tensor
    """(B, 3, 128, 128)."""
    occlusion: Tensor
    """(B, 1, s, s) in [0, 1]."""
    jaw: Tensor | None = None
    """(B, 17, 2) float32 x, y of the jaw line in pixels of `hr`."""
    heat_maps: Tensor | None = None
    """(B, P, 64, 64) in [0, 1], one for each of the set's `heat_points`; with priors only."""
    parsing: Tensor | None = None
    """(B, 64, 64) int64 classes of the 11, -1 where unknown; with priors only."""
    identity: Tensor | None = None
    """(B,) int64 index in the set's `people`, -1 where unknown; with priors, for a set with
    identities."""
    track: tuple[Tensor, Tensor, Tensor] | None = None
    """For generators of tracks: shots (B, n, 3, s, s), of which `lr` is the first, their visibility
    (B, n, 1, s, s) in [0, 1] and weights (B, n); `occlusion` is what all shots cover."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The arguments of the generator."""
        return (self.lr,) if self.track is None else self.track


@dataclass(frozen=True)
class PackedBatch(Packed[Batch]):
    """A batch of samples on the host, before its transfer; pictures are uint8 RGB."""

    lr: Tensor
    """(B, s, s, 3)."""
    lr_clean: Tensor
    """(B, s, s, 3)."""
    hr: Tensor
    """(B, 128, 128, 3)."""
    occlusion: Tensor
    """(B, 1, s, s) float32 in [0, 1]."""
    jaw: Tensor | None = None
    """(B, 17, 2) float32, as in `Batch`."""
    heat_points: Tensor | None = None
    """(B, P, 2) float32 x, y in pixels of the 128-px face; with priors only."""
    parsing: Tensor | None = None
    """(B, 64, 64) int8 classes of the 11, -1 where unknown; with priors only."""
    identity: Tensor | None = None
    """(B,) int64, as in `Batch`."""
    heat_sigma: float = HEAT_SIGMA
    """Standard deviation of a heat map's peak, in pixels of 64."""

    def unpack(self, device: torch.device | str) -> Batch:
        """Return the batch on a device, with its heat maps."""
        points, parsing, identity = self.heat_points, self.parsing, self.identity
        jaw = self.jaw
        return Batch(
            lr=images_on_device(device, self.lr),
            lr_clean=images_on_device(device, self.lr_clean),
            hr=images_on_device(device, self.hr),
            occlusion=self.occlusion.to(device, non_blocking=True),
            jaw=None if jaw is None else jaw.to(device, non_blocking=True),
            heat_maps=None
            if points is None
            else heat_maps(points.to(device, non_blocking=True), sigma=self.heat_sigma),
            parsing=None if parsing is None else parsing.to(device, non_blocking=True).long(),
            identity=None if identity is None else identity.to(device, non_blocking=True),
        )


SampleT = TypeVar("SampleT")
BatchT = TypeVar("BatchT")


PREFETCHED_BATCHES = 4
"""Number of batches that each worker prepares in advance."""


class SampleNumbers(Sampler[int]):
    """The sample numbers of one process: its part of each batch, in order."""

    def __init__(self, size: int, first: int, last: int, rank: int = 0, world: int = 1) -> None:
        self.size, self.rank, self.world = size, rank, world
        self.steps = range(first, last)

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers, batch by batch."""
        for step in self.steps:
            start = (step * self.world + self.rank) * self.size
            yield from range(start, start + self.size)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.steps) * self.size


def numbered_batches(
    samples: Dataset[SampleT],
    stack: Callable[[list[Any]], BatchT],
    numbers: SampleNumbers,
    workers: int,
) -> Iterator[BatchT]:
    """Iterate over batches of the samples with these numbers, without the global random state.

    Args:
        samples: Returns a sample for any number.
        stack: Stacks samples into a batch.
        numbers: The numbers of the samples and the batch size.
        workers: Processes that prepare samples; 0: this process prepares them. If this process
            trains on a GPU, the batches are pinned and copied during the training.

    """
    if workers:
        # In this process, since a forked one would wait for threads that it does not have.
        cv2.setNumThreads(1)
    loader = DataLoader(
        samples,
        batch_size=numbers.size,
        sampler=numbers,
        num_workers=workers,
        collate_fn=stack,
        prefetch_factor=PREFETCHED_BATCHES if workers else None,
        pin_memory=torch.cuda.is_initialized(),  # type: ignore[no-untyped-call]
        generator=torch.Generator(),
        worker_init_fn=without_lost_peers,
    )
    return iter(loader)


@lru_cache(maxsize=2)
def shuffled(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of `count` items in an epoch."""
    return np.random.default_rng((seed, epoch)).permutation(count)
