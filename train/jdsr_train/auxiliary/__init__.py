"""Models that are trained beside the generator and judge what it restores."""

from __future__ import annotations

from jdsr_train.auxiliary.critic import AuxiliaryCritic
from jdsr_train.auxiliary.discriminator import AuxiliaryDiscriminator
from jdsr_train.auxiliary.dual import AuxiliaryDualNetworks
from jdsr_train.auxiliary.protocol import AuxiliaryModel
from jdsr_train.auxiliary.recogniser import AuxiliaryRecogniser
from jdsr_train.networks import IdentityClassifier
from jdsr_train.recipe import Recipe

__all__ = [
    "AuxiliaryCritic",
    "AuxiliaryDiscriminator",
    "AuxiliaryDualNetworks",
    "AuxiliaryModel",
    "AuxiliaryRecogniser",
    "build_auxiliary_models",
]


def build_auxiliary_models(
    recipe: Recipe, recogniser: IdentityClassifier | None = None
) -> list[AuxiliaryModel]:
    """Return the auxiliary models whose terms have a weight in the recipe, with random weights.

    Args:
        recipe: The recipe.
        recogniser: The recognition network of `loss.super_identity`, trained before.

    """
    found: list[AuxiliaryModel] = []
    if recipe.loss.adversarial:
        is_critic = recipe.critic.kind == "wasserstein"
        found.append(AuxiliaryCritic(recipe) if is_critic else AuxiliaryDiscriminator(recipe))
    if recipe.loss.dual:
        found.append(AuxiliaryDualNetworks(recipe))
    if recipe.loss.super_identity and recogniser is not None:
        found.append(AuxiliaryRecogniser(recipe, recogniser))
    return found
