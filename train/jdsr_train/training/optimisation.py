"""Optimiser, learning rate and weight averaging, as configured by a recipe."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from jdsr_train.recipe import OptimiserRecipe
from jdsr_train.training.stage import SchedulePosition


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
