"""The interface between the trainer and a training stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from jdsr_train.data.batches import Packed
from jdsr_train.recipe import OptimiserRecipe


@dataclass(frozen=True)
class SchedulePosition:
    """The position of a stage in its schedule."""

    step: int
    """Number of the step, from 0."""
    share: float
    """Completed share of the schedule, 0 to 1: the larger of its share of steps and of time."""


@dataclass(frozen=True)
class OptimisedModel:
    """A network that a stage trains, and its optimiser options."""

    network: nn.Module
    options: OptimiserRecipe
    """`steps` and `batch` are those of the stage."""


@dataclass(frozen=True)
class OptimiserStep:
    """The loss of one optimiser step.

    The trainer minimises it before it requests the next optimiser step of the same training step.
    """

    model: str
    """Name of the model that is updated."""
    terms: Mapping[str, Tensor]
    """Weighted scalar terms; the loss is their sum."""


Networks = Mapping[str, Callable[..., Any]]
"""The networks of the models by name, callable on the device of the run."""


class TrainingStage(Protocol):
    """A stage of training, such as the denoiser's warm-up."""

    @property
    def name(self) -> str:
        """Name of the stage and of its output folder."""

    @property
    def models(self) -> Mapping[str, OptimisedModel]:
        """The trained models by name."""

    @property
    def main_model(self) -> str:
        """Name of the model whose averaged weights are validated and exported."""

    @property
    def deviations(self) -> tuple[str, ...]:
        """Descriptions of the differences from the paper; stored in checkpoints."""

    def batches(
        self, first: int, last: int, workers: int, rank: int, world: int
    ) -> Iterator[Packed[Any]]:
        """Iterate over the batches `first` to `last` - 1 of the process `rank` of `world`."""

    def train_steps(
        self, networks: Networks, batch: Any, position: SchedulePosition
    ) -> Iterator[OptimiserStep]:
        """Yield the optimiser steps of one training step on an unpacked batch, in order."""

    def validate(
        self, network: nn.Module, position: SchedulePosition, until: float = math.inf
    ) -> dict[str, float]:
        """Validate the main model's network in evaluation mode and return named metrics.

        Args:
            network: The averaged network.
            position: Selects the loss terms that are active.
            until: Time of `time.monotonic` after which no further batch is started. If the
                validation stops early, the metrics contain `validation_faces`.

        """
