"""The recognition network of SICNN, trained on true and restored faces (SPEC 6.4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from jdsr_cli.networks import GeneratorOutput
from jdsr_train import losses
from jdsr_train.auxiliary.protocol import Network, auxiliary_options
from jdsr_train.data.samples import Batch
from jdsr_train.networks import IdentityClassifier
from jdsr_train.recipe import Recipe
from jdsr_train.training.stage import OptimisedModel

CLIP = 1.0
"""Largest gradient norm of the recognition network."""


class AuxiliaryRecogniser:
    """Domain-integrated training: the network classifies people in true and in restored faces.

    The generator's term is the super-identity loss: the squared distance of the unit-length
    features of the restored and the true face, from `loss.identity_from` on. The network learns
    from the first step, since its head is untrained. SICNN classifies by an angular softmax; here
    it is the margin softmax of the identity stage.

    Args:
        recipe: Its tables `loss` and `optimiser`.
        classifier: The network of the identity stage, with a classification head.

    """

    name, begins, steps_per_update = "recogniser", 0.0, 1

    def __init__(self, recipe: Recipe, classifier: IdentityClassifier) -> None:
        self.weight, self.term_begins = recipe.loss.super_identity, recipe.loss.identity_from
        self._features = classifier.network
        options = auxiliary_options(recipe, recipe.optimiser.rate, recipe.optimiser.betas)
        # The first gradients of the untrained head would destroy the trained features.
        self.model = OptimisedModel(classifier, dataclasses.replace(options, clip=CLIP))

    def own_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch, step: int
    ) -> Mapping[str, Tensor]:
        """Return the mean cross-entropy of the people that are known; 0 if none is."""
        people = batch.identity
        assert people is not None
        faces = torch.cat([batch.hr, output.restored.detach().float()])
        people = torch.cat([people, people])
        known = (people >= 0).float()
        entropy = F.cross_entropy(
            network(faces, people.clamp_min(0)).float(), people.clamp_min(0), reduction="none"
        )
        return {"recognition": (known * entropy).sum() / known.sum().clamp_min(1)}

    def generator_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch
    ) -> Mapping[str, Tensor]:
        """Return the super-identity term."""
        loss = losses.identity_loss(
            self._features(output.restored), self._features(batch.hr), "sum"
        )
        return {"super_identity": self.weight * loss}
