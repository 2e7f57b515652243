"""Models that are trained beside the generator and judge what it restores."""

from __future__ import annotations

from jdsr_train.companions.critic import CriticCompanion
from jdsr_train.companions.discriminator import DiscriminatorCompanion
from jdsr_train.companions.dual import DualCompanion
from jdsr_train.companions.protocol import Companion
from jdsr_train.companions.recogniser import RecogniserCompanion
from jdsr_train.networks import IdentityClassifier
from jdsr_train.recipe import Recipe

__all__ = [
    "Companion",
    "CriticCompanion",
    "DiscriminatorCompanion",
    "DualCompanion",
    "RecogniserCompanion",
    "build_companions",
]


def build_companions(
    recipe: Recipe, recogniser: IdentityClassifier | None = None
) -> list[Companion]:
    """Return the companions whose terms have a weight in the recipe, with random weights.

    Args:
        recipe: The recipe.
        recogniser: The recognition network of `loss.super_identity`, trained before.

    """
    found: list[Companion] = []
    if recipe.loss.adversarial:
        is_critic = recipe.critic.kind == "wasserstein"
        found.append(CriticCompanion(recipe) if is_critic else DiscriminatorCompanion(recipe))
    if recipe.loss.dual:
        found.append(DualCompanion(recipe))
    if recipe.loss.super_identity and recogniser is not None:
        found.append(RecogniserCompanion(recipe, recogniser))
    return found
