"""The interface between the joint stage and a model that it trains beside the generator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor

from jdsr_cli.networks import GeneratorOutput
from jdsr_train.data.samples import Batch
from jdsr_train.recipe import OptimiserRecipe, Recipe
from jdsr_train.training.stage import OptimisedModel

Network = Callable[..., Any]
"""The model of an auxiliary model, callable on the device of the run."""


class AuxiliaryModel(Protocol):
    """A model that learns from what the generator restores, and gives a term of its loss."""

    @property
    def name(self) -> str:
        """Name of the model in checkpoints."""

    @property
    def model(self) -> OptimisedModel:
        """The model and its optimiser options."""

    @property
    def begins(self) -> float:
        """Share of the joint steps after which it is trained."""

    @property
    def term_begins(self) -> float:
        """Share of the joint steps, not before `begins`, after which its term is active."""

    @property
    def steps_per_update(self) -> int:
        """Steps of the model for each step of the generator."""

    def own_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch, step: int
    ) -> Mapping[str, Tensor]:
        """Return the weighted terms that the model minimises; the generator gets no gradient.

        Args:
            network: The model.
            output: The generator's output, with or without gradient.
            batch: Its batch.
            step: Number of the training step, which determines random numbers.

        """

    def generator_terms(
        self, network: Network, output: GeneratorOutput, batch: Batch
    ) -> Mapping[str, Tensor]:
        """Return the weighted terms of the generator, given the model, which is not trained."""


def auxiliary_options(recipe: Recipe, rate: float, betas: tuple[float, float]) -> OptimiserRecipe:
    """Return options for Adam in float32, with its own rate and the generator's schedule."""
    return dataclasses.replace(
        recipe.optimiser, kind="adam", rate=rate, betas=betas,
        weight_decay=0.0, clip=0.0, ema=0.0, precision="float32",
    )  # fmt: skip
