"""The adversarial terms: Wasserstein critic with gradient penalty (eq. 7)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

CriticFunction = Callable[[Tensor], Tensor]
"""Scores (B, 3, H, W) images with (B,) numbers, each image by itself."""

ETA = 0.1
"""Weight of the gradient penalty (PAPER section 4.2)."""
WEIGHT = 1e-3
"""Weight of the Wasserstein part, equal to that of the generator's term.

With 1, the literal reading, eta = 0.1 is too small to hold the critic's slope (SPEC 0.7).
"""


def generator_adversarial(scores: Tensor) -> Tensor:
    """Return the generator's term, minus the mean score of the restored faces (eq. 7)."""
    return -scores.float().mean()


def wasserstein(restored: Tensor, true: Tensor) -> Tensor:
    """Return the mean score of restored faces minus that of true ones, for the critic (eq. 7)."""
    return restored.float().mean() - true.float().mean()


def gradient_penalty(
    critic: CriticFunction, restored: Tensor, truth: Tensor, share: Tensor | None = None
) -> Tensor:
    """Mean of (|slope| - 1)^2 of the critic between restored and true faces (eq. 7).

    Computed in float32 even under autocast; differentiable with respect to the critic.

    Args:
        critic: Any differentiable score of single images.
        restored: (B, 3, H, W) I_SR; taken without gradient.
        truth: (B, 3, H, W) the true faces.
        share: (B,) in [0, 1], how much of the true face each sample takes; drawn uniformly
            from the device's own generator where None.

    """
    restored, truth = restored.detach().float(), truth.detach().float()
    if share is None:
        share = torch.rand(len(truth), device=truth.device)
    mixed = torch.lerp(restored, truth, share.float().view(-1, 1, 1, 1)).requires_grad_()
    with torch.autocast(mixed.device.type, enabled=False), torch.enable_grad():
        (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        steepness = torch.linalg.vector_norm(slope.flatten(1), dim=1)
        penalty: Tensor = ((steepness - 1) ** 2).mean()
    return penalty


def critic_loss(
    critic: CriticFunction,
    restored: Tensor,
    truth: Tensor,
    *,
    weight: float = WEIGHT,
    eta: float = ETA,
    share: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the critic's terms, already weighted; their sum is its loss (eq. 7).

    Returns:
        `wasserstein` and `gradient_penalty`. No gradient reaches what made `restored`.

    """
    restored, truth = restored.detach(), truth.detach()
    scores = critic(torch.cat([restored, truth.to(restored.dtype)]))
    return {
        "wasserstein": weight * wasserstein(*scores.chunk(2)),
        "gradient_penalty": eta * gradient_penalty(critic, restored, truth, share),
    }
