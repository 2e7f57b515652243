"""The discriminators of FSRGAN and DICGAN, trained by binary cross-entropy (SPEC 6.5, 6.6)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from jdsr_cli.networks import GeneratorOutput
from jdsr_train.baselines.adversary import deception_loss, discriminator_loss
from jdsr_train.baselines.discriminators import LightCNNDiscriminator, PatchDiscriminator
from jdsr_train.companions.protocol import Network, companion_options
from jdsr_train.data.samples import Batch
from jdsr_train.losses.objective import select_region
from jdsr_train.recipe import Recipe
from jdsr_train.training.stage import OptimisedModel

KINDS = {"patches": PatchDiscriminator, "light_cnn": LightCNNDiscriminator}


class DiscriminatorCompanion:
    """Tells restored faces from true ones.

    Args:
        recipe: Its tables `critic` and `loss`.

    """

    name = "critic"

    def __init__(self, recipe: Recipe) -> None:
        settings = recipe.critic
        self.recipe, self.begins = recipe, recipe.loss.adversarial_from
        self.steps_per_update = settings.steps_per_update
        options = companion_options(recipe, settings.rate, settings.betas)
        self.model = OptimisedModel(KINDS[settings.kind](settings.widths), options)

    def own_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch, step: int
    ) -> Mapping[str, Tensor]:
        """Return the cross-entropy on restored and true faces."""
        restored, truth = self._compared(output, batch)
        logits = network(torch.cat([restored.detach(), truth.to(restored.dtype)]))
        return {"discriminator": discriminator_loss(*logits.chunk(2))}

    def generator_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch
    ) -> Mapping[str, Tensor]:
        """Return the cross-entropy of the restored faces and the label of true ones."""
        loss = deception_loss(network(self._compared(output, batch)[0]))
        return {"adversarial": self.recipe.loss.adversarial * loss}

    def _compared(self, output: GeneratorOutput, batch: Batch) -> tuple[Tensor, Tensor]:
        region, masked = self.recipe.critic.sees, self.recipe.data.masked
        return select_region(output.restored, batch, region, masked)
