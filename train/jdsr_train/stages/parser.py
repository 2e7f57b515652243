"""The parser stage: train the face parser that labels the training faces (SPEC 3)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from jdsr_train.data.labels import PARSING_CLASSES
from jdsr_train.data.parsing_set import PackedPairs, ParsingBatch, ParsingSamples
from jdsr_train.networks import Parser
from jdsr_train.recipe import Recipe
from jdsr_train.training.stage import Networks, OptimisedModel, OptimiserStep, SchedulePosition

VALIDATION_FACES = 96
BATCH = 8


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
        loss, count = 0.0, min(VALIDATION_FACES, len(self.validation.pictures))
        wanted, batches = -(-count // BATCH), 0
        with torch.inference_mode():
            for batch in self.validation.batches(BATCH, 0, wanted, 0):
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
            **({} if batches == wanted else {"validation_faces": batches * BATCH}),
        }

    def export_module(self, network: nn.Module) -> tuple[dict[str, Any], nn.Module]:
        """Return the arguments of the parser, and the parser."""
        return {"width": self.width}, network
