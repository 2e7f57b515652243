"""The identity stage: the network of eq. 15 (table 1), trained to tell the training people apart.

It is frozen afterwards. Margin softmax (CosFace) over the identities of the training split; some
faces are reduced and enlarged again, so that restored faces are not strangers to it (SPEC 3).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import images_on_device, stack, to_tensor
from jdsr_cli.errors import DatasetError
from jdsr_cli.synthesis.paper_degradation import resize_bicubic
from jdsr_train.data.batches import Packed, SampleNumbers, numbered_batches, shuffled
from jdsr_train.networks import IdentityNetwork, MarginHead
from jdsr_train.recipe import Recipe
from jdsr_train.task import Moment, Networks, Player, Turn

HELD_OUT = 10
"""Of the faces of people who have more than one, one in this many is for validation."""
VALIDATION_FACES = 512


@dataclass(frozen=True)
class IdentityBatch:
    """Faces and the numbers of the people they show."""

    faces: Tensor
    """(B, 3, 128, 128) RGB in [0, 1]."""
    people: Tensor
    """(B,) int64."""


@dataclass(frozen=True)
class PackedPeople(Packed[IdentityBatch]):
    """The same on its way."""

    faces: Tensor
    """(B, 128, 128, 3) uint8 RGB."""
    people: Tensor
    """(B,) int64."""

    def unpack(self, device: torch.device | str) -> IdentityBatch:
        """Return the batch on a device."""
        people = self.people.to(device, non_blocking=True)
        return IdentityBatch(images_on_device(device, self.faces), people)


class IdentityFaces(Dataset[tuple[NDArray[np.uint8], int]]):
    """Face number n of an endless, shuffled, augmented stream of known people."""

    def __init__(
        self, faces: FaceSet, places: NDArray[np.int64], people: NDArray[np.int64], seed: int,
        degraded: float,
    ) -> None:  # fmt: skip
        self.faces, self.places, self.people = faces, places, people
        self.seed, self.degraded = seed, degraded

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], int]:
        """Return a face and its person; the same number always gives the same bytes."""
        epoch, rank = divmod(number, len(self.places))
        place = int(self.places[shuffled(len(self.places), self.seed, epoch)[rank]])
        rng = np.random.default_rng((self.seed, epoch, place))
        face = np.asarray(self.faces.images[place])
        if rng.random() < 0.5:
            face = np.ascontiguousarray(face[:, ::-1])
        if rng.random() < self.degraded:
            face = resize_bicubic(resize_bicubic(face, int(rng.choice([16, 32]))), 128)
        return face, int(self.people[place])


class IdentityStage:
    """Trains the identity network and the head that is thrown away afterwards."""

    name = "identity"
    kept = "identity"

    def __init__(self, recipe: Recipe, faces: FaceSet, deviations: tuple[str, ...] = ()) -> None:
        self.recipe, self.settings = recipe, recipe.identity
        self.deviations = deviations
        people = _people(faces)
        held_out = _held_out(faces, people)
        training = np.flatnonzero((people >= 0) & ~held_out)
        self.training = IdentityFaces(faces, training, people, recipe.seed, self.settings.degraded)
        checked = np.flatnonzero(held_out)[:VALIDATION_FACES]
        self._checked = (np.asarray(faces.images[checked]), people[checked])
        torch.manual_seed(recipe.seed)
        head = MarginHead(
            self.settings.features, len(faces.people),
            scale=self.settings.scale, margin=self.settings.margin,
        )  # fmt: skip
        settings = self.settings
        trunk = IdentityNetwork(settings.widths, settings.blocks, settings.features)
        network = _Classifier(trunk, head)
        self.players = {self.kept: Player(network, self.settings.optimiser)}

    def batches(
        self, first: int, last: int, workers: int, rank: int, world: int
    ) -> Iterator[PackedPeople]:
        """Batches of faces; each process takes its part of a step's faces."""
        size = self.settings.optimiser.batch // world
        numbers = SampleNumbers(size, first, last, rank, world)
        return numbered_batches(self.training, _collate, numbers, workers)

    def play(self, networks: Networks, batch: IdentityBatch, moment: Moment) -> Iterator[Turn]:
        """Give the classifier's turn."""
        logits = networks[self.kept](batch.faces, batch.people)
        yield Turn(self.kept, {"margin": F.cross_entropy(logits.float(), batch.people)})

    def validate(
        self, network: nn.Module, moment: Moment, until: float = math.inf
    ) -> dict[str, float]:
        """Return margin loss, accuracy and the mean cosine of same and different people."""
        images, people = self._checked
        if not len(people):
            return {}
        assert isinstance(network, _Classifier)
        device = next(network.parameters()).device
        loss, right, features = 0.0, 0, []
        with torch.inference_mode():
            for start in range(0, len(people), 32):
                if start and time.monotonic() >= until:
                    break
                faces = to_tensor(images[start : start + 32]).to(device)
                wanted = torch.from_numpy(people[start : start + 32]).to(device)
                feature = network.network(faces)
                loss += float(network.head.loss(feature, wanted)) * len(wanted)
                right += int((network.head.cosines(feature).argmax(1) == wanted).sum())
                features.append(F.normalize(feature.float()).cpu())
        seen, asked = sum(map(len, features)), len(people)
        people = people[:seen]
        cosine = torch.cat(features) @ torch.cat(features).T
        same = torch.from_numpy(people[:, None] == people[None]) & ~torch.eye(
            len(people), dtype=torch.bool
        )
        figures = {
            "validation_loss": loss / len(people),
            "validation_accuracy": right / len(people),
        }
        if seen < asked:
            figures["validation_faces"] = seen
        other = torch.from_numpy(people[:, None] != people)
        if other.any():
            figures["cosine_different"] = float(cosine[other].mean())
        if same.any():
            figures["cosine_same"] = float(cosine[same].mean())
        return figures

    def exported(self, network: nn.Module) -> tuple[dict[str, Any], nn.Module]:
        """Return the identity network without its head, and what it is built from."""
        assert isinstance(network, _Classifier)
        settings = self.settings
        arguments = {
            "widths": list(settings.widths),
            "blocks": list(settings.blocks),
            "features": settings.features,
        }
        return arguments, network.network


class _Classifier(nn.Module):
    """The network and its head; only the network is used afterwards."""

    def __init__(self, network: IdentityNetwork, head: MarginHead) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, faces: Tensor, people: Tensor) -> Tensor:
        logits: Tensor = self.head(self.network(faces), people)
        return logits


def _people(faces: FaceSet) -> NDArray[np.int64]:
    """Return the number of each face's person, -1 where that is not known.

    Raises:
        DatasetError: The set names fewer than two people.

    """
    if faces.person_of is None or len(faces.people) < 2:
        raise DatasetError(
            "the identity stage needs faces whose people are known",
            hint="Put identity_CelebA.txt beside the images, an identity column into faces.csv, "
            "or leave the stage out and set loss.identity = 0",
        )
    return faces.person_of


def _held_out(faces: FaceSet, people: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark one in ten faces, by name, of the people who keep another for training."""
    chosen = np.zeros(len(people), np.bool_)
    left = np.bincount(people[people >= 0])
    for place, key in enumerate(faces.keys):
        person = people[place]
        drawn = hashlib.sha256(key.encode()).digest()[0] % HELD_OUT == 0
        if person >= 0 and drawn and left[person] > 1:
            chosen[place] = True
            left[person] -= 1
    return chosen


def _collate(rows: list[tuple[NDArray[np.uint8], int]]) -> PackedPeople:
    return PackedPeople(
        stack([face for face, _ in rows]), torch.tensor([person for _, person in rows])
    )
