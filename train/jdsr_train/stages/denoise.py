"""The denoiser's warm-up: the denoising terms alone, before everything is trained as one.

The paper trains in one go; the work that it continues found two stages 2 dB better, so this is
the default here and `stages = ["joint"]` the paper's literal reading.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from jdsr_cli.errors import UsageError
from jdsr_cli.networks import JDSRGenerator
from jdsr_train.data.batches import Batch, PackedBatch
from jdsr_train.data.samples import TrainingSamples
from jdsr_train.frozen_features import FeatureExtractor
from jdsr_train.objective import denoising_terms
from jdsr_train.recipe import Recipe
from jdsr_train.task import Moment, Networks, Player, Turn

VALIDATION_BATCHES = 4
BATCH = 8


class Denoising(nn.Module):
    """The part of the paper's generator that the warm-up trains."""

    def __init__(self, generator: JDSRGenerator) -> None:
        super().__init__()
        self.denoiser = generator.denoiser
        self._generator = (generator,)  # not a submodule: the rest is not trained

    def forward(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Return I_D_LR and gamma of (B, 3, s, s) faces."""
        return self._generator[0].denoise(lr)


class DenoiseStage:
    """Trains the denoiser on the terms of eq. 17's first half."""

    name = "denoise"
    kept = "denoiser"

    def __init__(
        self,
        recipe: Recipe,
        generator: nn.Module,
        samples: TrainingSamples,
        validation: TrainingSamples,
        features: FeatureExtractor | None = None,
        deviations: tuple[str, ...] = (),
    ) -> None:
        if not isinstance(generator, JDSRGenerator):
            raise UsageError(
                f"network {recipe.generator.network!r} has no denoiser of its own to warm up",
                where=f"recipe {recipe.name}",
                hint='Leave "denoise" out of its stages',
            )
        self.recipe, self.samples, self.validation = recipe, samples, validation
        self.features = features
        self.deviations = deviations
        self.players = {self.kept: Player(Denoising(generator), recipe.denoise)}

    def batches(
        self, first: int, last: int, workers: int, rank: int, world: int
    ) -> Iterator[PackedBatch]:
        """Batches of faces; see `TrainingSamples.batches`."""
        size = self.recipe.denoise.batch // world
        return self.samples.batches(size, first, last, workers, rank=rank, world=world)

    def play(self, networks: Networks, batch: Batch, moment: Moment) -> Iterator[Turn]:
        """Give the denoiser's turn."""
        denoised, noise_map = networks[self.kept](batch.lr)
        yield Turn(self.kept, self._terms(denoised, noise_map, batch))

    def validate(
        self, network: nn.Module, moment: Moment, until: float = math.inf
    ) -> dict[str, float]:
        """Return the loss and its terms on validation faces."""
        device = next(network.parameters()).device
        sums: dict[str, float] = {}
        batches = 0
        with torch.inference_mode():
            for batch in self.validation.batches(BATCH, 0, VALIDATION_BATCHES, 0):
                if batches and time.monotonic() >= until:
                    break
                ready = batch.unpack(device)
                denoised, noise_map = network(ready.lr)
                for name, term in self._terms(denoised, noise_map, ready).items():
                    sums[name] = sums.get(name, 0.0) + float(term)
                batches += 1
        means = {f"validation_{name}": value / batches for name, value in sums.items()}
        cut = {} if batches == VALIDATION_BATCHES else {"validation_faces": batches * BATCH}
        return {"validation_loss": sum(means.values()), **means, **cut}

    def exported(self, network: nn.Module) -> tuple[dict[str, Any], nn.Module]:
        """Return what the joint stage starts from: the denoiser, and what it is built from."""
        assert isinstance(network, Denoising)
        return dict(self.recipe.generator.arguments), network.denoiser

    def _terms(self, denoised: Tensor, noise_map: Tensor, batch: Batch) -> dict[str, Tensor]:
        return denoising_terms(
            denoised, noise_map, batch, self.recipe.loss, self.features,
            self.recipe.data.noise_truth,
        )  # fmt: skip
