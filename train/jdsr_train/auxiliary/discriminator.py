"""The discriminators of FSRGAN and DICGAN, trained by binary cross-entropy (SPEC 6.5, 6.6)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from jdsr_cli.networks import GeneratorOutput
from jdsr_train.auxiliary.adversary import AuxiliaryAdversary
from jdsr_train.auxiliary.protocol import Network
from jdsr_train.baselines.adversary import discriminator_loss, generator_loss
from jdsr_train.baselines.discriminators import LightCNNDiscriminator, PatchDiscriminator
from jdsr_train.data.samples import Batch
from jdsr_train.recipe import Recipe

KINDS = {"patches": PatchDiscriminator, "light_cnn": LightCNNDiscriminator}


class AuxiliaryDiscriminator(AuxiliaryAdversary):
    """Tells restored faces from true ones.

    Args:
        recipe: Its tables `critic` and `loss`.

    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, KINDS[recipe.critic.kind](recipe.critic.widths))

    def own_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch, step: int
    ) -> Mapping[str, Tensor]:
        """Return the cross-entropy on restored and true faces."""
        restored, truth = self.compared(output, batch)
        logits = network(restored.detach(), truth.to(restored.dtype))
        return {"discriminator": discriminator_loss(*logits.chunk(2))}

    def generator_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch
    ) -> Mapping[str, Tensor]:
        """Return the cross-entropy of the restored faces and the label of true ones."""
        loss = generator_loss(network(self.compared(output, batch)[0]))
        return {"adversarial": self.recipe.loss.adversarial * loss}
