"""The joint stage: denoiser and super-resolver as one, against a critic (PAPER eq. 16-18)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from jdsr_cli.networks import GeneratorOutput
from jdsr_train import losses
from jdsr_train.data.batches import Batch, PackedBatch
from jdsr_train.data.samples import TrainingSamples
from jdsr_train.frozen_features import FeatureExtractor
from jdsr_train.networks import Critic
from jdsr_train.objective import Judges, denoising_terms, judged, restoring_terms
from jdsr_train.recipe import OptimiserRecipe, Recipe
from jdsr_train.stages.validation import Validation
from jdsr_train.task import Moment, Networks, Player, Turn


class JointStage:
    """Trains the whole generator, and its critic where the recipe has one.

    The critic moves on every batch and the generator on every `steps_per_update`-th (WGAN-GP,
    PAPER eq. 7); before `adversarial_from` there is no critic and the generator always moves.

    Args:
        recipe: Weights, schedules.
        generator: What is trained.
        samples: What it is trained on.
        features: Frozen features for the perceptual and style terms, if there are any.
        identity: Frozen identity network, if there is one.
        validation: Measures the averaged generator.
        deviations: In what the run differs from the recipe's paper.

    """

    name = "joint"
    kept = "generator"

    def __init__(
        self,
        recipe: Recipe,
        generator: nn.Module,
        samples: TrainingSamples,
        *,
        features: FeatureExtractor | None = None,
        identity: nn.Module | None = None,
        validation: Validation | None = None,
        deviations: tuple[str, ...] = (),
    ) -> None:
        self.recipe, self.samples = recipe, samples
        self.features, self.identity = features, identity
        self.validation = validation
        self.deviations = deviations
        self.players = {"generator": Player(generator, recipe.optimiser)}
        if recipe.loss.adversarial:
            self.players["critic"] = Player(
                Critic(tuple(recipe.critic.widths), fold=recipe.critic.fold),
                critic_options(recipe),
            )

    def batches(
        self, first: int, last: int, workers: int, rank: int, world: int
    ) -> Iterator[PackedBatch]:
        """Batches of faces; see `TrainingSamples.batches`."""
        size = self.recipe.optimiser.batch // world
        return self.samples.batches(size, first, last, workers, rank=rank, world=world)

    def play(self, networks: Networks, batch: Batch, moment: Moment) -> Iterator[Turn]:
        """Give the critic's turn, then the generator's where it is its step."""
        adversarial = "critic" in networks and self._acts("adversarial", moment)
        moves = not adversarial or (moment.step + 1) % self.recipe.critic.steps_per_update == 0
        with torch.set_grad_enabled(moves):
            output = GeneratorOutput(**networks["generator"](batch.lr))
        if adversarial:
            sees, masked = self.recipe.critic.sees, self.recipe.data.masked
            shown, truth = judged(output.restored, batch, sees, masked)
            yield Turn("critic", self._critic_terms(networks, shown, truth, moment.step))
        if not moves:
            return
        critic = self.players["critic"].network.requires_grad_(False) if adversarial else None
        yield Turn("generator", self.terms(output, batch, moment, critic))
        if critic is not None:
            critic.requires_grad_(True)

    def terms(
        self,
        output: GeneratorOutput,
        batch: Batch,
        moment: Moment,
        critic: nn.Module | None = None,
    ) -> dict[str, Tensor]:
        """Return the generator's weighted terms at a moment."""
        weights = self.recipe.loss
        judges = Judges(
            self.features,
            self._acts("perceptual", moment),
            self.identity if self._acts("identity", moment) else None,
            critic,
            self.recipe.critic.sees,
            self.recipe.data.masked,
        )
        return denoising_terms(
            output.denoised, output.noise_map, batch, weights, self.features,
            self.recipe.data.noise_truth,
        ) | restoring_terms(output, batch, weights, judges)  # fmt: skip

    def validate(
        self, network: nn.Module, moment: Moment, until: float = math.inf
    ) -> dict[str, float]:
        """Return loss and fidelity of the averaged generator on the validation faces.

        The loss is without the critic, whose score has no fixed zero.
        """
        if self.validation is None:
            return {}

        def terms(generator: nn.Module, batch: Batch) -> dict[str, Tensor]:
            return self.terms(generator(batch.lr), batch, moment)

        loss = self.validation.loss(network, terms, until)
        return {"validation_loss": loss, **self.validation.figures(network, until)}

    def _critic_terms(
        self, networks: Networks, shown: Tensor, truth: Tensor, step: int
    ) -> dict[str, Tensor]:
        settings = self.recipe.critic
        draw = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        share = torch.rand(len(shown), generator=draw).to(shown.device, non_blocking=True)
        terms = losses.critic_loss(
            networks["critic"], shown, truth,
            weight=settings.wasserstein, eta=settings.gradient_penalty, share=share,
        )  # fmt: skip
        return {f"critic_{name}": term for name, term in terms.items()}

    def _acts(self, term: str, moment: Moment) -> bool:
        begin: float = getattr(self.recipe.loss, f"{term}_from")
        return moment.share >= begin


def critic_options(recipe: Recipe) -> OptimiserRecipe:
    """How the critic moves: Adam at its own rate with the generator's schedule, in float32."""
    return dataclasses.replace(
        recipe.optimiser, kind="adam", rate=recipe.critic.rate, betas=recipe.critic.betas,
        weight_decay=0.0, clip=0.0, ema=0.0, precision="float32",
    )  # fmt: skip
