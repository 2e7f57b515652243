"""How the weights of a network move: optimiser and learning rate of a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from jdsr_train.recipe import OptimiserRecipe
from jdsr_train.task import Moment


def optimiser(parameters: Iterator[nn.Parameter], options: OptimiserRecipe) -> Any:
    """Make the optimiser of a recipe; it moves all weights in one kernel."""
    moved = [parameter for parameter in parameters if parameter.requires_grad]
    made: torch.optim.Optimizer
    if options.kind == "sgd":
        made = torch.optim.SGD(
            moved, options.rate, momentum=options.betas[0],
            weight_decay=options.weight_decay, nesterov=options.betas[0] > 0, fused=True,
        )  # fmt: skip
    else:
        kind: Callable[..., torch.optim.Optimizer] = (
            torch.optim.AdamW if options.kind == "adamw" else torch.optim.Adam
        )
        made = kind(
            moved, options.rate, betas=options.betas, weight_decay=options.weight_decay, fused=True
        )
    made.register_load_state_dict_pre_hook(_stay_fused)
    return made


def _stay_fused(_: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Take a state that was written without the one kernel, as on CPUs before, for one with it."""
    groups = [{**group, "fused": True} for group in state["param_groups"]]
    return {**state, "param_groups": groups}


def rate_at(moment: Moment, options: OptimiserRecipe) -> float:
    """Learning rate at a moment: linear warm-up by steps, then the recipe's schedule by share.

    Where the clock ends a stage early, the schedule ends with it, whatever the warm-up.
    """
    rise = min(1.0, (moment.step + 1) / max(1, options.warmup))
    if options.schedule == "constant":
        fall = (1 - moment.share) / max(1 / options.steps, options.tail)
        return options.rate * min(rise, fall)
    warm = min(options.warmup, options.steps - 1) / options.steps
    done = min(1.0, max(0.0, (moment.share - warm) / (1 - warm)))
    return options.rate * min(rise, 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
