"""The critic of the paper's adversarial loss (eq. 7, WGAN-GP)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from jdsr_cli.networks import GeneratorOutput
from jdsr_train import losses
from jdsr_train.auxiliary.adversary import AuxiliaryAdversary
from jdsr_train.auxiliary.protocol import Network
from jdsr_train.data.samples import Batch
from jdsr_train.networks import Critic
from jdsr_train.recipe import Recipe


class AuxiliaryCritic(AuxiliaryAdversary):
    """Scores restored and true faces.

    Args:
        recipe: Its tables `critic` and `loss`.

    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, Critic(tuple(recipe.critic.widths), fold=recipe.critic.fold))

    def own_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch, step: int
    ) -> Mapping[str, Tensor]:
        """Return the Wasserstein part and the gradient penalty."""
        settings = self.recipe.critic
        restored, truth = self.compared(output, batch)
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
        scores = network(self.compared(output, batch)[0])
        return {"adversarial": self.recipe.loss.adversarial * losses.generator_adversarial(scores)}
