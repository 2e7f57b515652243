"""The stages that train the generator: the denoiser alone, then the whole network.

The paper trains the whole network at once (PAPER eq. 16-18), which is `stages = ["joint"]`. Its
parent work reports a gain of 2 dB from training in two stages, which is the default.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jdsr_cli.errors import UsageError
from jdsr_cli.networks import GeneratorOutput, JDSRGenerator
from jdsr_train.auxiliary import AuxiliaryModel
from jdsr_train.data.samples import Batch, Packed, PackedBatch, TrainingSamples
from jdsr_train.data.tracks import TrackSamples
from jdsr_train.frozen_features import FeatureExtractor
from jdsr_train.losses.objective import LossNetworks, denoising_terms, restoring_terms
from jdsr_train.recipe import Recipe
from jdsr_train.stages.track_validation import TrackValidation
from jdsr_train.stages.validation import Validation
from jdsr_train.training.stage import Networks, OptimisedModel, OptimiserStep, SchedulePosition

VALIDATION_BATCHES = 4
BATCH = 8


class DenoiserNetwork(nn.Module):
    """The denoiser of the paper's generator as a separate network."""

    def __init__(self, generator: JDSRGenerator) -> None:
        super().__init__()
        self.denoiser = generator.denoiser
        self._generator = (generator,)  # not a submodule: the rest is not trained

    def forward(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Return the denoised faces I_D_LR and the noise map gamma of (B, 3, s, s) faces."""
        return self._generator[0].denoise(lr)


class DenoiseStage:
    """Trains the denoiser alone on the denoising terms of eq. 17."""

    name = "denoise"
    main_model = "denoiser"

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
                f"network {recipe.generator.network!r} has no separate denoiser to train",
                where=f"recipe {recipe.name}",
                hint='Leave "denoise" out of its stages',
            )
        self.recipe, self.samples, self.validation = recipe, samples, validation
        self.features = features
        self.deviations = deviations
        self.models = {self.main_model: OptimisedModel(DenoiserNetwork(generator), recipe.denoise)}

    def batches(
        self, first: int, last: int, workers: int, rank: int, world: int
    ) -> Iterator[PackedBatch]:
        """Iterate over batches of faces; see `TrainingSamples.batches`."""
        size = self.recipe.denoise.batch // world
        return self.samples.batches(size, first, last, workers, rank=rank, world=world)

    def train_steps(
        self, networks: Networks, batch: Batch, position: SchedulePosition
    ) -> Iterator[OptimiserStep]:
        """Yield the optimiser step of the denoiser."""
        denoised, noise_map = networks[self.main_model](batch.lr)
        yield OptimiserStep(self.main_model, self._terms(denoised, noise_map, batch))

    def validate(
        self, network: nn.Module, position: SchedulePosition, until: float = math.inf
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
        incomplete = {} if batches == VALIDATION_BATCHES else {"validation_faces": batches * BATCH}
        return {"validation_loss": sum(means.values()), **means, **incomplete}

    def export_module(self, network: nn.Module) -> tuple[dict[str, Any], nn.Module]:
        """Return the generator arguments and the trained denoiser."""
        assert isinstance(network, DenoiserNetwork)
        return dict(self.recipe.generator.arguments), network.denoiser

    def _terms(self, denoised: Tensor, noise_map: Tensor, batch: Batch) -> dict[str, Tensor]:
        return denoising_terms(
            denoised, noise_map, batch, self.recipe.loss, self.features,
            self.recipe.data.noise_truth,
        )  # fmt: skip


class JointStage:
    """Trains the whole generator, and its auxiliary models if the recipe has some.

    An auxiliary model, such as the critic, is updated on every batch and the generator on every
    `steps_per_update`-th (WGAN-GP, PAPER eq. 7). Before its start only the generator is updated,
    on every batch.

    Args:
        recipe: Loss weights and schedules.
        generator: The generator.
        samples: The training samples.
        auxiliary: Models that are trained beside the generator.
        features: Frozen features of the perceptual and style terms, if any.
        identity: Frozen identity network, if any.
        validation: Validates the averaged generator; None in processes other than the first.
        deviations: Descriptions of the differences from the paper.

    """

    name = "joint"
    main_model = "generator"

    def __init__(
        self,
        recipe: Recipe,
        generator: nn.Module,
        samples: TrainingSamples | TrackSamples,
        *,
        auxiliary: Sequence[AuxiliaryModel] = (),
        features: FeatureExtractor | None = None,
        identity: nn.Module | None = None,
        validation: Validation | TrackValidation | None = None,
        deviations: tuple[str, ...] = (),
    ) -> None:
        self.recipe, self.samples, self.auxiliary = recipe, samples, auxiliary
        self.features, self.identity = features, identity
        self.validation = validation
        self.deviations = deviations
        self.models = {"generator": OptimisedModel(generator, recipe.optimiser)}
        self.models |= {one.name: one.model for one in auxiliary}

    def batches(
        self, first: int, last: int, workers: int, rank: int, world: int
    ) -> Iterator[Packed[Batch]]:
        """Iterate over batches of faces; see `TrainingSamples.batches`."""
        size = self.recipe.optimiser.batch // world
        return self.samples.batches(size, first, last, workers, rank=rank, world=world)

    def train_steps(
        self, networks: Networks, batch: Batch, position: SchedulePosition
    ) -> Iterator[OptimiserStep]:
        """Yield the steps of the auxiliary models, then that of the generator if it is due."""
        active = [one for one in self.auxiliary if position.share >= one.begins]
        cycle = max((one.steps_per_update for one in active), default=1)
        updates_generator = (position.step + 1) % cycle == 0
        with torch.set_grad_enabled(updates_generator):
            output = GeneratorOutput(**networks["generator"](*batch.inputs))
        for one in active:
            terms = one.own_terms(networks[one.name], output, batch, position.step)
            yield OptimiserStep(one.name, terms)
        if not updates_generator:
            return
        terms = self.terms(output, batch, position)
        acting = [one for one in active if position.share >= one.term_begins]
        frozen = [(one, one.model.network.requires_grad_(False)) for one in acting]
        for one, network in frozen:
            terms |= one.generator_terms(network, output, batch)
        yield OptimiserStep("generator", terms)
        for _, network in frozen:
            network.requires_grad_(True)

    def terms(
        self, output: GeneratorOutput, batch: Batch, position: SchedulePosition
    ) -> dict[str, Tensor]:
        """Return the weighted terms of the generator alone at a position in the schedule."""
        weights = self.recipe.loss
        frozen = LossNetworks(
            self.features,
            position.share >= weights.perceptual_from,
            self.identity if position.share >= weights.identity_from else None,
            self.recipe.data.masked,
        )
        return denoising_terms(
            output.denoised, output.noise_map, batch, weights, self.features,
            self.recipe.data.noise_truth,
        ) | restoring_terms(output, batch, weights, frozen)  # fmt: skip

    def validate(
        self, network: nn.Module, position: SchedulePosition, until: float = math.inf
    ) -> dict[str, float]:
        """Return loss and fidelity metrics of the averaged generator on the validation faces.

        The loss excludes the auxiliary models; a critic's score has no fixed zero.
        """
        if self.validation is None:
            return {}

        def terms(generator: nn.Module, batch: Batch) -> dict[str, Tensor]:
            return self.terms(generator(*batch.inputs), batch, position)

        loss = self.validation.loss(network, terms, until)
        return {"validation_loss": loss, **self.validation.metrics(network, until)}
