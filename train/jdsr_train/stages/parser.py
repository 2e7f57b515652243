"""The parser stage: a small network that labels the parts of the training faces (SPEC 3)."""

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
from jdsr_train.task import Moment, Networks, Player, Turn

VALIDATION_FACES = 96
BATCH = 8


class ParserStage:
    """Trains the parser on labelled faces with cross-entropy."""

    name = "parser"
    kept = "parser"
    deviations: tuple[str, ...] = ()

    def __init__(self, recipe: Recipe, samples: ParsingSamples, validation: ParsingSamples) -> None:
        self.options = recipe.parser.optimiser
        self.samples, self.validation = samples, validation
        self.width = recipe.parser.width
        torch.manual_seed(recipe.seed)
        self.players = {self.kept: Player(Parser(self.width), self.options)}

    def batches(
        self, first: int, last: int, workers: int, rank: int, world: int
    ) -> Iterator[PackedPairs]:
        """Batches of labelled faces; see `ParsingSamples.batches`."""
        size = self.options.batch // world
        return self.samples.batches(size, first, last, workers, rank=rank, world=world)

    def play(self, networks: Networks, batch: ParsingBatch, moment: Moment) -> Iterator[Turn]:
        """Give the parser's turn."""
        logits = networks[self.kept](batch.images)
        yield Turn(self.kept, {"cross_entropy": F.cross_entropy(logits, batch.labels)})

    def validate(
        self, network: nn.Module, moment: Moment, until: float = math.inf
    ) -> dict[str, float]:
        """Return loss, accuracy, and intersection over union by class on held-out faces."""
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
        met = np.diag(confusion)
        union = confusion.sum(0) + confusion.sum(1) - met
        overlap = {
            f"iou_{name.replace(' ', '_')}": float(met[place] / union[place])
            for place, name in enumerate(PARSING_CLASSES)
            if union[place]
        }
        return {
            "validation_loss": loss / batches,
            "validation_accuracy": float(met.sum() / confusion.sum()),
            "validation_mean_iou": float(np.mean(list(overlap.values()))),
            **overlap,
            **({} if batches == wanted else {"validation_faces": batches * BATCH}),
        }

    def exported(self, network: nn.Module) -> tuple[dict[str, Any], nn.Module]:
        """Return the parser and what it is built from."""
        return {"width": self.width}, network
