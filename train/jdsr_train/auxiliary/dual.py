"""The dual networks of DRN, which make each smaller scale from the next larger one (SPEC 6.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from jdsr_cli.networks import GeneratorOutput
from jdsr_train import losses
from jdsr_train.auxiliary.protocol import Network, auxiliary_options
from jdsr_train.baselines.drn import DualNetworks
from jdsr_train.data.samples import Batch
from jdsr_train.recipe import Recipe
from jdsr_train.training.stage import OptimisedModel


class AuxiliaryDualNetworks:
    """Reduces each restored scale to the next smaller one, which has to fit the true one.

    The published code updates generator and dual networks from one backward pass; here the dual
    networks take their step first, on the same results.

    Args:
        recipe: Its tables `generator`, `loss` and `optimiser`.

    """

    name, begins, term_begins, steps_per_update = "dual", 0.0, 0.0, 1

    def __init__(self, recipe: Recipe) -> None:
        self.weight = recipe.loss.dual
        options = auxiliary_options(recipe, recipe.optimiser.rate, recipe.optimiser.betas)
        self.model = OptimisedModel(DualNetworks(recipe.generator.scale), options)

    def own_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch, step: int
    ) -> Mapping[str, Tensor]:
        """Return the error of the smaller scales that the networks make."""
        steps = [one.detach() for one in output.steps]
        return {"dual_networks": self._error(network, steps, batch)}

    def generator_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch
    ) -> Mapping[str, Tensor]:
        """Return the same error as a term of the generator."""
        return {"dual": self._error(network, output.steps, batch)}

    def _error(self, network: Network, steps: Sequence[Tensor], batch: Batch) -> Tensor:
        """Return the weighted sum over scales of the mean absolute error."""
        return self.weight * losses.steps_loss(network(*steps), batch.hr)
