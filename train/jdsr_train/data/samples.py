"""Training samples: a face, a mask or none, a degradation; each a pure function of its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from jdsr_train.data.faces import FaceSet
from jdsr_train.degradations import CameraSettings, Pair, degrade_camera, degrade_paper
from jdsr_train.masks import Sprite, choose, rng_for, wear

MIRROR = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
     45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
     *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]
)  # fmt: skip
"""Index of each iBUG point's mirror image."""


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


class TrainingSamples(Dataset[Pair]):
    """Sample number n of an endless, shuffled, augmented stream of faces."""

    def __init__(self, faces: FaceSet, degrader: Degrader, seed: int) -> None:
        self.faces = faces
        self.degrader = degrader
        self.seed = seed

    def __getitem__(self, number: int) -> Pair:
        """Return the sample; the same number always gives the same bytes."""
        epoch, place = divmod(number, len(self.faces))
        index = int(_shuffled(len(self.faces), self.seed, epoch)[place])
        rng = np.random.default_rng((self.seed, epoch, index))
        face = np.asarray(self.faces.images[index])
        landmarks = self.faces.landmarks[index]
        if rng.random() < 0.5:
            face, landmarks = mirror(face, landmarks)
        pair, _ = self.degrader(face, landmarks, rng)
        return pair

    def batches(self, size: int, first: int, last: int, workers: int) -> Iterator[Batch]:
        """Batches number `first` up to and without `last`; no global random state is touched."""
        loader = DataLoader(
            self,
            batch_size=size,
            sampler=range(first * size, last * size),
            num_workers=workers,
            collate_fn=collate,
            prefetch_factor=4 if workers else None,
            generator=torch.Generator(),
        )
        return iter(loader)


@lru_cache(maxsize=2)
def _shuffled(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(count)


def mirror(
    face: NDArray[np.uint8], landmarks: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Flip a face left to right, and its points with it, renumbered."""
    flipped = landmarks[MIRROR].copy()
    flipped[:, 0] = face.shape[1] - 1 - flipped[:, 0]
    return np.ascontiguousarray(face[:, ::-1]), flipped


def collate(pairs: Sequence[Pair]) -> Batch:
    """Stack pairs into a batch."""
    return Batch(
        lr=to_tensor([pair.lr for pair in pairs]),
        lr_clean=to_tensor([pair.lr_clean for pair in pairs]),
        hr=to_tensor([pair.hr for pair in pairs]),
        occlusion=torch.from_numpy(np.stack([pair.occlusion for pair in pairs])[:, None]),
    )


def to_tensor(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Stack uint8 (H, W, 3) pictures to float32 (B, 3, H, W) in [0, 1]."""
    stacked = torch.from_numpy(np.stack(images))
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
