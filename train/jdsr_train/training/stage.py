"""The interface between the trainer and a training stage, and the optimised models of a stage."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from jdsr_train.data.samples import Packed
from jdsr_train.recipe import OptimiserRecipe


def build_optimiser(parameters: Iterator[nn.Parameter], options: OptimiserRecipe) -> Any:
    """Return the fused optimiser of a recipe for the parameters that require a gradient."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    optimiser: torch.optim.Optimizer
    if options.kind == "sgd":
        optimiser = torch.optim.SGD(
            trained, options.rate, momentum=options.betas[0],
            weight_decay=options.weight_decay, nesterov=options.betas[0] > 0, fused=True,
        )  # fmt: skip
    else:
        kind: Callable[..., torch.optim.Optimizer] = (
            torch.optim.AdamW if options.kind == "adamw" else torch.optim.Adam
        )
        optimiser = kind(
            trained, options.rate, betas=options.betas, weight_decay=options.weight_decay,
            fused=True,
        )  # fmt: skip
    optimiser.register_load_state_dict_pre_hook(_set_fused)
    return optimiser


def _set_fused(_: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Load the state of an optimiser that was not fused into one that is."""
    groups = [{**group, "fused": True} for group in state["param_groups"]]
    return {**state, "param_groups": groups}


def learning_rate(position: SchedulePosition, options: OptimiserRecipe) -> float:
    """Return the learning rate: linear warm-up by steps, then the recipe's schedule by share.

    If a time limit ends a stage early, the schedule ends with it, whatever the warm-up.
    """
    warmup = min(1.0, (position.step + 1) / max(1, options.warmup))
    if options.schedule == "constant":
        tail = (1 - position.share) / max(1 / options.steps, options.tail)
        return options.rate * min(warmup, tail)
    if options.schedule == "halving":
        halvings = sum(position.share >= share for share in options.halved_at)
        return options.rate * min(warmup, 0.5**halvings)
    warm = min(options.warmup, options.steps - 1) / options.steps
    done = min(1.0, max(0.0, (position.share - warm) / (1 - warm)))
    cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))
    return options.rate * min(warmup, cosine)


class WeightAverage:
    """The exponential moving average of a network's weights.

    Args:
        network: The trained network.
        decay: Decay of the average, smaller in the first steps; 0 keeps the last weights.

    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._network = copy.deepcopy(network).eval().requires_grad_(False)
        self._pairs = list(self._network.parameters()), list(network.parameters())
        self._buffers = list(self._network.buffers()), list(network.buffers())

    @property
    def network(self) -> nn.Module:
        """The averaged network; its buffers are those of the trained network."""
        with torch.no_grad():
            for averaged, current in zip(*self._buffers, strict=True):
                averaged.copy_(current)
        return self._network

    def update(self, step: int) -> None:
        """Add the weights after a step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            update(*self._pairs, step)


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
