"""The identity stage and the parser stage: networks that analyse faces during the joint training.

The identity network of eq. 15 (PAPER table 1) is trained to classify people with the margin softmax
(CosFace) over the identities of the training split. A share of the faces is downscaled and upscaled
again, so that restored faces are in the training domain (SPEC 3). The parser labels the training
faces (SPEC 3). Both networks are frozen afterwards.
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
from jdsr_cli.file_names import name_bytes
from jdsr_cli.synthesis.compression import resize_bicubic
from jdsr_train.data.labels import PARSING_CLASSES
from jdsr_train.data.parsing_set import PackedPairs, ParsingBatch, ParsingSamples
from jdsr_train.data.samples import Packed, SampleNumbers, numbered_batches, shuffled
from jdsr_train.networks import IdentityClassifier, IdentityNetwork, MarginHead, Parser
from jdsr_train.recipe import Recipe
from jdsr_train.training.stage import Networks, OptimisedModel, OptimiserStep, SchedulePosition

HELD_OUT = 10
"""One in this many faces is held out for validation, if its person has another one."""
VALIDATION_FACES = 512


@dataclass(frozen=True)
class IdentityBatch:
    """Faces and the labels of their people."""

    faces: Tensor
    """(B, 3, 128, 128) RGB in [0, 1]."""
    people: Tensor
    """(B,) int64."""


@dataclass(frozen=True)
class PackedIdentityBatch(Packed[IdentityBatch]):
    """An identity batch on the host, before its transfer to the device."""

    faces: Tensor
    """(B, 128, 128, 3) uint8 RGB."""
    people: Tensor
    """(B,) int64."""

    def unpack(self, device: torch.device | str) -> IdentityBatch:
        """Return the batch on a device."""
        people = self.people.to(device, non_blocking=True)
        return IdentityBatch(images_on_device(device, self.faces), people)


class IdentityFaces(Dataset[tuple[NDArray[np.uint8], int]]):
    """An endless, shuffled, augmented stream of faces of known people."""

    def __init__(
        self, faces: FaceSet, indices: NDArray[np.int64], people: NDArray[np.int64], seed: int,
        degraded: float,
    ) -> None:  # fmt: skip
        self.faces, self.indices, self.people = faces, indices, people
        self.seed, self.degraded = seed, degraded

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], int]:
        """Return a face, (128, 128, 3) uint8 RGB, and its person; deterministic in the number."""
        epoch, rank = divmod(number, len(self.indices))
        index = int(self.indices[shuffled(len(self.indices), self.seed, epoch)[rank]])
        rng = np.random.default_rng((self.seed, epoch, index))
        face = np.asarray(self.faces.images[index])
        if rng.random() < 0.5:
            face = np.ascontiguousarray(face[:, ::-1])
        if rng.random() < self.degraded:
            face = resize_bicubic(resize_bicubic(face, int(rng.choice([16, 32]))), 128)
        return face, int(self.people[index])


class IdentityStage:
    """Trains the identity network and a classification head, which is discarded afterwards."""

    name = "identity"
    main_model = "identity"

    def __init__(self, recipe: Recipe, faces: FaceSet, deviations: tuple[str, ...] = ()) -> None:
        self.recipe, self.settings = recipe, recipe.identity
        self.deviations = deviations
        people = _people(faces)
        held_out = _held_out(faces, people)
        training = np.flatnonzero((people >= 0) & ~held_out)
        self.training = IdentityFaces(faces, training, people, recipe.seed, self.settings.degraded)
        validation_indices = np.flatnonzero(held_out)[:VALIDATION_FACES]
        self._validation = (
            np.asarray(faces.images[validation_indices]),
            people[validation_indices],
        )
        torch.manual_seed(recipe.seed)
        head = MarginHead(
            self.settings.features, len(faces.people),
            scale=self.settings.scale, margin=self.settings.margin,
        )  # fmt: skip
        settings = self.settings
        trunk = IdentityNetwork(settings.widths, settings.blocks, settings.features)
        network = IdentityClassifier(trunk, head)
        self.models = {self.main_model: OptimisedModel(network, self.settings.optimiser)}

    def batches(
        self, first: int, last: int, workers: int, rank: int, world: int
    ) -> Iterator[PackedIdentityBatch]:
        """Iterate over batches; each process receives its part of the faces of a step."""
        size = self.settings.optimiser.batch // world
        numbers = SampleNumbers(size, first, last, rank, world)
        return numbered_batches(self.training, _collate, numbers, workers)

    def train_steps(
        self, networks: Networks, batch: IdentityBatch, position: SchedulePosition
    ) -> Iterator[OptimiserStep]:
        """Yield the optimiser step of the classifier."""
        logits = networks[self.main_model](batch.faces, batch.people)
        yield OptimiserStep(
            self.main_model, {"margin": F.cross_entropy(logits.float(), batch.people)}
        )

    def validate(
        self, network: nn.Module, position: SchedulePosition, until: float = math.inf
    ) -> dict[str, float]:
        """Return the margin loss, the accuracy, and the mean cosines of same and other people."""
        images, people = self._validation
        if not len(people):
            return {}
        assert isinstance(network, IdentityClassifier)
        device = next(network.parameters()).device
        loss, right, features = 0.0, 0, []
        with torch.inference_mode():
            for start in range(0, len(people), 32):
                if start and time.monotonic() >= until:
                    break
                faces = to_tensor(images[start : start + 32]).to(device)
                targets = torch.from_numpy(people[start : start + 32]).to(device)
                feature = network.network(faces)
                loss += float(network.head.loss(feature, targets)) * len(targets)
                right += int((network.head.cosines(feature).argmax(1) == targets).sum())
                features.append(F.normalize(feature.float()).cpu())
        measured, total = sum(map(len, features)), len(people)
        people = people[:measured]
        cosine = torch.cat(features) @ torch.cat(features).T
        same = torch.from_numpy(people[:, None] == people[None]) & ~torch.eye(
            len(people), dtype=torch.bool
        )
        metrics = {
            "validation_loss": loss / len(people),
            "validation_accuracy": right / len(people),
        }
        if measured < total:
            metrics["validation_faces"] = measured
        other = torch.from_numpy(people[:, None] != people)
        if other.any():
            metrics["cosine_different"] = float(cosine[other].mean())
        if same.any():
            metrics["cosine_same"] = float(cosine[same].mean())
        return metrics

    def export_module(self, network: nn.Module) -> tuple[dict[str, Any], nn.Module]:
        """Return the arguments of the identity network, and the network without its head."""
        assert isinstance(network, IdentityClassifier)
        settings = self.settings
        arguments = {
            "widths": list(settings.widths),
            "blocks": list(settings.blocks),
            "features": settings.features,
        }
        return arguments, network.network


def _people(faces: FaceSet) -> NDArray[np.int64]:
    """Return the label of each face's person, -1 if it is not known.

    Raises:
        DatasetError: The set has fewer than two known people.

    """
    if faces.person_of is None or len(faces.people) < 2:
        raise DatasetError(
            "the identity stage needs faces whose people are known",
            hint="Put identity_CelebA.txt beside the images, an identity column into faces.csv, "
            "or leave the stage out and set loss.identity = 0",
        )
    return faces.person_of


def _held_out(faces: FaceSet, people: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Select one in ten faces, by a hash of its key, whose person keeps another for training."""
    chosen = np.zeros(len(people), np.bool_)
    remaining = np.bincount(people[people >= 0])
    for index, key in enumerate(faces.keys):
        person = people[index]
        drawn = hashlib.sha256(name_bytes(key)).digest()[0] % HELD_OUT == 0
        if person >= 0 and drawn and remaining[person] > 1:
            chosen[index] = True
            remaining[person] -= 1
    return chosen


def _collate(rows: list[tuple[NDArray[np.uint8], int]]) -> PackedIdentityBatch:
    return PackedIdentityBatch(
        stack([face for face, _ in rows]), torch.tensor([person for _, person in rows])
    )


PARSER_VALIDATION_FACES = 96
PARSER_BATCH = 8


class ParserStage:
    """Trains the face parser on labelled faces with the cross-entropy."""

    name = "parser"
    main_model = "parser"
    deviations: tuple[str, ...] = ()

    def __init__(self, recipe: Recipe, samples: ParsingSamples, validation: ParsingSamples) -> None:
        self.options = recipe.parser.optimiser
        self.samples, self.validation = samples, validation
        self.width = recipe.parser.width
        torch.manual_seed(recipe.seed)
        self.models = {self.main_model: OptimisedModel(Parser(self.width), self.options)}

    def batches(
        self, first: int, last: int, workers: int, rank: int, world: int
    ) -> Iterator[PackedPairs]:
        """Iterate over batches of labelled faces; see `ParsingSamples.batches`."""
        size = self.options.batch // world
        return self.samples.batches(size, first, last, workers, rank=rank, world=world)

    def train_steps(
        self, networks: Networks, batch: ParsingBatch, position: SchedulePosition
    ) -> Iterator[OptimiserStep]:
        """Yield the optimiser step of the parser."""
        logits = networks[self.main_model](batch.images)
        yield OptimiserStep(
            self.main_model, {"cross_entropy": F.cross_entropy(logits, batch.labels)}
        )

    def validate(
        self, network: nn.Module, position: SchedulePosition, until: float = math.inf
    ) -> dict[str, float]:
        """Return the loss, the accuracy and the intersection over union of each class."""
        device = next(network.parameters()).device
        classes = len(PARSING_CLASSES)
        confusion = np.zeros((classes, classes), np.int64)
        loss, count = 0.0, min(PARSER_VALIDATION_FACES, len(self.validation.pictures))
        total, batches = -(-count // PARSER_BATCH), 0
        with torch.inference_mode():
            for batch in self.validation.batches(PARSER_BATCH, 0, total, 0):
                if batches and time.monotonic() >= until:
                    break
                ready = batch.unpack(device)
                logits = network(ready.images)
                loss += float(F.cross_entropy(logits, ready.labels))
                batches += 1
                pairs = ready.labels * classes + logits.argmax(1)
                counted = torch.bincount(pairs.flatten(), minlength=classes**2)
                confusion += counted.cpu().numpy().reshape(classes, classes)
        intersection = np.diag(confusion)
        union = confusion.sum(0) + confusion.sum(1) - intersection
        overlap = {
            f"iou_{name.replace(' ', '_')}": float(intersection[index] / union[index])
            for index, name in enumerate(PARSING_CLASSES)
            if union[index]
        }
        return {
            "validation_loss": loss / batches,
            "validation_accuracy": float(intersection.sum() / confusion.sum()),
            "validation_mean_iou": float(np.mean(list(overlap.values()))),
            **overlap,
            **({} if batches == total else {"validation_faces": batches * PARSER_BATCH}),
        }

    def export_module(self, network: nn.Module) -> tuple[dict[str, Any], nn.Module]:
        """Return the arguments of the parser, and the parser."""
        return {"width": self.width}, network
