"""Training samples of generators that restore a face from several shots of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader, images_on_device, stack
from jdsr_cli.faces.burst import match_tone
from jdsr_cli.synthesis.camera import rounded
from jdsr_cli.synthesis.compression import resize_bicubic
from jdsr_cli.synthesis.tracks import RecordedTrack, TrackSettings, draw_masked, record_track
from jdsr_train.data.samples import (
    Batch,
    Packed,
    SampleNumbers,
    mirror,
    numbered_batches,
    shuffled,
)

BATCH_STREAM = 1 << 31
"""Third part of the seeds of batches, which no index of a face reaches."""
LEAST_WEIGHT = 0.4
"""Weight of the worst shots relative to the first, the best one; imitates measured qualities."""
SEEN_BLUR = (0.5, 3.0)
"""Standard deviation, in pixels of 128, of the blur of a generator's occlusion map."""
MISSED = 0.04
"""Share of masked shots whose mask the generator of single shots does not find."""


@dataclass(frozen=True)
class TrackSample:
    """The shots of a face, with what is known about them when they are restored."""

    shots: NDArray[np.uint8]
    """(n, s, s, 3)."""
    visibility: NDArray[np.uint8]
    """(n, s, s), 255 where no mask is."""
    weights: NDArray[np.float32]
    """(n,), above 0."""
    hr: NDArray[np.uint8]
    """(128, 128, 3): the bare face of the first shot."""
    occlusion: NDArray[np.float32]
    """(s, s) in [0, 1]: share of each pixel that masks cover in all shots."""


def known_of(track: RecordedTrack, rng: np.random.Generator) -> TrackSample:
    """Return a track as `restore` has it: matched in tone, visibility and weights estimated."""
    side = track.frames.shape[1]
    reference, open_first = track.frames[0].astype(np.float32), 1.0 - track.occlusions[0]
    shots = [track.frames[0]]
    for shot, occlusion in zip(track.frames[1:], track.occlusions[1:], strict=True):
        seen = open_first * (1.0 - occlusion)
        shots.append(rounded(match_tone(shot.astype(np.float32), reference, seen)))
    visible: list[NDArray[np.float32]] = []
    for occlusion, worn in zip(track.occlusions, track.masked, strict=True):
        blur = float(rng.uniform(*SEEN_BLUR)) * side / 128
        missed = worn and rng.random() < MISSED
        seen = np.zeros_like(occlusion) if missed else cv2.GaussianBlur(occlusion, (0, 0), blur)
        open_share = 1.0 - np.clip(seen, 0.0, 1.0)
        if worn and not missed and visible:
            # As `faces.burst.align_shots`: a hand in front of a mask shows nothing of the face.
            open_share = open_share * visible[0]
        visible.append(open_share)
    weights = rng.uniform(LEAST_WEIGHT, 0.99, len(visible)).astype(np.float32)
    weights[0] = 1.0
    visibility = np.rint(255 * np.stack(visible)).astype(np.uint8)
    return TrackSample(np.stack(shots), visibility, weights, track.truth, track.worn.min(axis=0))


class TrackSamples(Dataset[TrackSample]):
    """An endless, shuffled, augmented stream of numbered tracks.

    Args:
        faces: The faces.
        degrader: Its masks and settings.
        settings: Movement within a track, and the numbers of shots.
        seed: Seed of the order and of everything that is drawn.
        size: Faces in a batch of all processes together; all tracks of a batch have the same number
            of shots.

    """

    def __init__(
        self, faces: FaceSet, degrader: Degrader, settings: TrackSettings, seed: int, size: int
    ) -> None:
        self.faces, self.degrader, self.settings = faces, degrader, settings
        self.seed, self.size = seed, size

    def __getitem__(self, number: int) -> TrackSample:
        """Return the sample; the same number always gives the same bytes."""
        shots = self.settings.shots
        batch = np.random.default_rng((self.seed, number // self.size, BATCH_STREAM))
        choice = batch.integers(len(shots))
        epoch, position = divmod(number, len(self.faces))
        index = int(shuffled(len(self.faces), self.seed, epoch)[position])
        rng = np.random.default_rng((self.seed, epoch, index))
        face, landmarks = np.asarray(self.faces.images[index]), self.faces.landmarks[index]
        if rng.random() < 0.5:
            face, landmarks = mirror(face, landmarks)
        options = self.degrader.settings
        masked = draw_masked(shots[int(choice)], options.masked, rng, self.settings)
        recorded = record_track(
            face, landmarks, masked, self.degrader.sprites, options.lr_size, rng, options.camera,
            self.settings, canonical=options.canonical,
        )  # fmt: skip
        return known_of(recorded, rng)

    def batches(
        self, size: int, first: int, last: int, workers: int, *, rank: int = 0, world: int = 1
    ) -> Iterator[PackedTracks]:
        """Iterate over batches; see `TrainingSamples.batches`."""
        numbers = SampleNumbers(size, first, last, rank, world)
        return numbered_batches(self, pack, numbers, workers)


@dataclass(frozen=True)
class PackedTracks(Packed[Batch]):
    """A batch of tracks on the host; pictures are uint8."""

    shots: Tensor
    """(B, n, s, s, 3)."""
    visibility: Tensor
    """(B, n, s, s)."""
    weights: Tensor
    """(B, n) float32."""
    lr_clean: Tensor
    """(B, s, s, 3)."""
    hr: Tensor
    """(B, 128, 128, 3)."""
    occlusion: Tensor
    """(B, 1, s, s) float32 in [0, 1]."""

    def unpack(self, device: torch.device | str) -> Batch:
        """Return the batch on a device."""
        shots = images_on_device(device, self.shots.flatten(0, 1))
        shots = shots.reshape(*self.shots.shape[:2], *shots.shape[1:])
        visibility = self.visibility.to(device, non_blocking=True)[:, :, None].float() / 255.0
        return Batch(
            lr=shots[:, 0],
            lr_clean=images_on_device(device, self.lr_clean),
            hr=images_on_device(device, self.hr),
            occlusion=self.occlusion.to(device, non_blocking=True),
            track=(shots, visibility, self.weights.to(device, non_blocking=True)),
        )


def pack(samples: Sequence[TrackSample]) -> PackedTracks:
    """Stack samples with the same number of shots into a batch."""
    side = samples[0].shots.shape[1]
    return PackedTracks(
        shots=stack([sample.shots for sample in samples]),
        visibility=stack([sample.visibility for sample in samples]),
        weights=stack([sample.weights for sample in samples]),
        lr_clean=stack([resize_bicubic(sample.hr, side) for sample in samples]),
        hr=stack([sample.hr for sample in samples]),
        occlusion=stack([sample.occlusion for sample in samples])[:, None],
    )
