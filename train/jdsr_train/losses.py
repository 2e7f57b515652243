"""The loss terms, each a small function with its equation of the paper; all mean-reduced."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

UNDER_ESTIMATED = 0.7
"""Weight of an under-estimated noise level in eq. 8: |alpha - 1| with alpha = 0.3 (CBDNet)."""


def noise_level(masked: Tensor, clean: Tensor) -> Tensor:
    """Return |I_M_LR - I_GT_LR| per pixel and channel: the noise map's truth, no gradient."""
    return (masked - clean).abs().detach()


def asymmetric_loss(estimate: Tensor, truth: Tensor) -> Tensor:
    """Return the mean squared error, under-estimates weighing 0.7 and others 0.3 (eq. 8)."""
    error = estimate - truth
    weight = torch.where(error < 0, UNDER_ESTIMATED, 1.0 - UNDER_ESTIMATED)
    return (weight * error**2).mean()


def total_variation(maps: Tensor) -> Tensor:
    """Mean squared difference of neighbours, vertical plus horizontal (eq. 9)."""
    down = maps[..., 1:, :] - maps[..., :-1, :]
    across = maps[..., :, 1:] - maps[..., :, :-1]
    return (down**2).mean() + (across**2).mean()


def pixel_loss(image: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error (eq. 10 and its high-resolution twin)."""
    return (image - truth).abs().mean()


def decibel_loss(image: Tensor, truth: Tensor) -> Tensor:
    """Minus the mean over images of the RGB PSNR in dB, peak 1.

    Ours, for the light generators: the gradient of each image is scaled by its own error, so
    easy faces go on improving while hard ones (large masks) do not drown them.
    """
    error = ((image - truth) ** 2).flatten(1).mean(1)
    return (10 * torch.log10(error + 1e-8)).mean()


def occlusion_loss(estimate: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of the occlusion map in [0, 1] against the covered share. Ours."""
    return F.binary_cross_entropy(estimate.clamp(1e-6, 1 - 1e-6), truth)
