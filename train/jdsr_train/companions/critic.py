"""The critic of the paper's adversarial loss (eq. 7, WGAN-GP)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from jdsr_cli.networks import GeneratorOutput
from jdsr_train import losses
from jdsr_train.companions.protocol import Network, companion_options
from jdsr_train.data.samples import Batch
from jdsr_train.losses.objective import select_region
from jdsr_train.networks import Critic
from jdsr_train.recipe import Recipe
from jdsr_train.training.stage import OptimisedModel


class CriticCompanion:
    """Scores restored and true faces, or only their covered part.

    Args:
        recipe: Its tables `critic` and `loss`.

    """

    name = "critic"

    def __init__(self, recipe: Recipe) -> None:
        settings = recipe.critic
        self.recipe, self.begins = recipe, recipe.loss.adversarial_from
        self.steps_per_update = settings.steps_per_update
        network = Critic(tuple(settings.widths), fold=settings.fold)
        options = companion_options(recipe, settings.rate, settings.betas)
        self.model = OptimisedModel(network, options)

    def own_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch, step: int
    ) -> Mapping[str, Tensor]:
        """Return the Wasserstein part and the gradient penalty."""
        settings = self.recipe.critic
        restored, truth = self._compared(output, batch)
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        share = torch.rand(len(restored), generator=generator).to(
            restored.device, non_blocking=True
        )
        terms = losses.critic_loss(
            network, restored, truth,
            weight=settings.wasserstein, eta=settings.gradient_penalty, share=share,
        )  # fmt: skip
        return {f"critic_{name}": term for name, term in terms.items()}

    def generator_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch
    ) -> Mapping[str, Tensor]:
        """Return minus the mean score of the restored faces (eq. 16)."""
        scores = network(self._compared(output, batch)[0])
        return {"adversarial": self.recipe.loss.adversarial * losses.generator_adversarial(scores)}

    def _compared(self, output: GeneratorOutput, batch: Batch) -> tuple[Tensor, Tensor]:
        region, masked = self.recipe.critic.sees, self.recipe.data.masked
        return select_region(output.restored, batch, region, masked)
