"""Terms of the noise map: what the denoiser believes the mask has changed (eq. 8 and 9)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

UNDER_ESTIMATED = 0.7
"""Weight of an under-estimated noise level in eq. 8: |alpha - 1| with alpha = 0.3 (CBDNet)."""


def noise_level(masked: Tensor, clean: Tensor) -> Tensor:
    """Return |I_M_LR - I_GT_LR| per pixel and channel: the noise map's truth, no gradient.

    Our choice (SPEC 2): the paper gives no truth for the map. (B, 3, s, s) in and out.
    """
    return (masked.float() - clean.float()).abs().detach()


def asymmetric_loss(estimate: Tensor, truth: Tensor) -> Tensor:
    """Return the mean squared error, under-estimates weighing 0.7 and others 0.3 (eq. 8)."""
    error = estimate.float() - truth.detach().float()
    weight = torch.where(error < 0, UNDER_ESTIMATED, 1.0 - UNDER_ESTIMATED)
    return (weight * error**2).mean()


def total_variation(maps: Tensor) -> Tensor:
    """Mean squared difference of neighbours, vertical plus horizontal (eq. 9)."""
    maps = maps.float()
    down = maps[..., 1:, :] - maps[..., :-1, :]
    across = maps[..., :, 1:] - maps[..., :, :-1]
    return (down**2).mean() + (across**2).mean()


def occlusion_loss(estimate: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of the occlusion map in [0, 1] against the covered share. Ours.

    (B, 1, s, s) each. Not to be called under autocast. An estimate that is not a number gives a
    loss that is none: torch's own function would end a process on a GPU.
    """
    estimate = estimate.float()
    share = torch.nan_to_num(estimate, nan=0.5).clamp(1e-6, 1 - 1e-6)
    loss = F.binary_cross_entropy(share, truth.detach().float())
    return torch.where(estimate.isnan().any(), torch.nan, loss)
