"""Terms of the prior network's maps: landmarks and parsing (eq. 14)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from jdsr_cli.errors import UsageError

UNKNOWN = -1
"""Value of labels and heat maps that are not known; they take no part in a term."""


def _mean_of_known(values: Tensor, known: Tensor) -> Tensor:
    """Mean of the values that are known; 0, with a gradient of 0, where none is."""
    return (values * known).sum() / known.expand_as(values).sum().clamp_min(1)


def landmark_loss(maps: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error of the landmark heat maps (first half of eq. 14).

    Args:
        maps: (B, N, 64, 64) in [0, 1], estimated.
        truth: The same from the unmasked face; elements below 0 are unknown.

    """
    truth = truth.detach().float()
    return _mean_of_known((maps.float() - truth) ** 2, (truth >= 0).float())


def parsing_loss(logits: Tensor, labels: Tensor, kind: str = "mse") -> Tensor:
    """Error of the parsing maps (second half of eq. 14).

    Args:
        logits: (B, C, H, W), estimated.
        labels: (B, H, W) int64 of the unmasked face, 0 to C - 1; `UNKNOWN` is left out.
        kind: `mse`, the mean over pixels and classes of the squared error of the probabilities
            (the printed equation), or `ce`, the mean cross-entropy (the parent network's code).

    Raises:
        UsageError: The kind is neither.

    """
    logits, known = logits.float(), (labels != UNKNOWN).float()
    if kind == "ce":
        return _mean_of_known(
            F.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="none"), known
        )
    if kind == "mse":
        classes = torch.arange(logits.shape[1], device=labels.device)
        wanted = (labels[:, None] == classes[:, None, None]).float()
        return _mean_of_known((logits.softmax(dim=1) - wanted) ** 2, known[:, None])
    raise UsageError(f"no parsing loss is called {kind!r}", hint="Use mse or ce")
