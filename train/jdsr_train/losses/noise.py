"""Terms of the noise map: what the denoiser believes the mask has changed (eq. 8 and 9)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from jdsr_cli.networks.generator import UNDER_ESTIMATED


def noise_level(masked: Tensor, clean: Tensor) -> Tensor:
    """Return |I_M_LR - I_GT_LR| per pixel and channel: the noise map's truth, no gradient.

    Our choice (SPEC 2): the paper gives no truth for the map. (B, 3, s, s) in and out.
    """
    return (masked.float() - clean.float()).abs().detach()


def covered_level(occlusion: Tensor) -> Tensor:
    """Return the noise level that stands for a covered share a: 0.7 a / (0.7 a + 0.3 (1 - a)).

    Eq. 8 teaches it of a pixel that is wholly covered with probability a and bare otherwise: it is
    the expectile of that equation's weights. So a share that the network sees and one that it has
    to guess are the same level, and `occlusion_from_noise` reads a off either.
    (B, 1, s, s) in [0, 1], in and out; no gradient.
    """
    share = occlusion.float().detach()
    covered = UNDER_ESTIMATED * share
    return covered / (covered + (1.0 - UNDER_ESTIMATED) * (1.0 - share))


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
