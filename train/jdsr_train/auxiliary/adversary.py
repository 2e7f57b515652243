"""What the critic and the discriminators have in common."""

from __future__ import annotations

from torch import Tensor, nn

from jdsr_cli.networks import GeneratorOutput
from jdsr_train.auxiliary.protocol import auxiliary_options
from jdsr_train.data.samples import Batch
from jdsr_train.losses.objective import select_region
from jdsr_train.recipe import Recipe
from jdsr_train.training.stage import OptimisedModel


class AuxiliaryAdversary:
    """A network that judges restored faces, or only their covered part, beside true ones.

    Args:
        recipe: Its tables `critic` and `loss`.
        network: The network.

    """

    name = "critic"

    def __init__(self, recipe: Recipe, network: nn.Module) -> None:
        settings = recipe.critic
        self.recipe = recipe
        self.begins = self.term_begins = recipe.loss.adversarial_from
        self.steps_per_update = settings.steps_per_update
        options = auxiliary_options(recipe, settings.rate, settings.betas)
        self.model = OptimisedModel(network, options)

    def compared(self, output: GeneratorOutput, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the restored faces and the true ones, or what `critic.sees` of them."""
        region, masked = self.recipe.critic.sees, self.recipe.data.masked
        return select_region(output.restored, batch, region, masked)
