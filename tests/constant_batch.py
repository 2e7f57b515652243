"""Batches and images of constant values, whose losses can be computed by hand."""

from __future__ import annotations

import torch
from torch import Tensor

from jdsr_train.data.samples import Batch


def full(value: float, *shape: int) -> Tensor:
    """Return a tensor of one value."""
    return torch.full(shape, value)


def constant_batch(masked: float, occlusion: float, **labels: Tensor) -> Batch:
    """Return two faces of 32 px whose bare pixels are 0.25.

    Args:
        masked: Value of the input.
        occlusion: Value of the occlusion map.
        labels: Further fields of the batch.

    """
    return Batch(
        lr=full(masked, 2, 3, 32, 32),
        lr_clean=full(0.25, 2, 3, 32, 32),
        hr=full(0.25, 2, 3, 128, 128),
        occlusion=full(occlusion, 2, 1, 32, 32),
        **labels,
    )
