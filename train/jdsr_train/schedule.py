"""How the weights of a network move: optimiser and learning rate of a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from jdsr_train.recipe import OptimiserRecipe


def optimiser(
    parameters: Iterator[nn.Parameter], options: OptimiserRecipe, device: torch.device
) -> Any:
    """Make the optimiser of a recipe; on a GPU it moves all weights in one kernel."""
    moved = [parameter for parameter in parameters if parameter.requires_grad]
    fused = device.type == "cuda" or None
    if options.kind == "sgd":
        return torch.optim.SGD(
            moved, options.rate, momentum=options.betas[0],
            weight_decay=options.weight_decay, nesterov=options.betas[0] > 0, fused=fused,
        )  # fmt: skip
    kind: Callable[..., torch.optim.Optimizer] = (
        torch.optim.AdamW if options.kind == "adamw" else torch.optim.Adam
    )
    return kind(
        moved, options.rate, betas=options.betas, weight_decay=options.weight_decay, fused=fused
    )


def rate_at(step: int, options: OptimiserRecipe) -> float:
    """Learning rate of a step, counted from 0: linear warm-up, then the recipe's schedule."""
    if step < options.warmup:
        return options.rate * (step + 1) / options.warmup
    if options.schedule == "constant":
        left = (options.steps - step) / max(1.0, options.tail * options.steps)
        return options.rate * min(1.0, left)
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return options.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
