"""PSNR and SSIM on the luma of BT.601, the field's protocol (PAPER section 4.4, SPEC 5).

All functions take batches (B, 3, H, W) of RGB in [0, 1], clamp them and round them to 8 bits as
saving would, and return float64: luma in limited range (16 to 235), peak 255. SSIM has an 11x11
Gaussian window of sigma 1.5 at valid places only. The maps are there for callers that want
several figures of the same pictures.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from jdsr_cli.errors import UsageError

PEAK = 255.0
WINDOW = 11
"""Side of the window of SSIM in pixels."""
_SIGMA = 1.5
_C1, _C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


def luma(images: Tensor) -> Tensor:
    """Limited-range Y of BT.601, (B, 1, H, W) float64 in [16, 235], of RGB in [0, 1].

    Raises:
        UsageError: Not a floating (B, 3, H, W) tensor.

    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise UsageError(
            f"got {tuple(images.shape)} {images.dtype}", where="luma",
            hint="Give (B, 3, H, W) floating RGB in [0, 1]",
        )  # fmt: skip
    levels = (images.double().clamp(0, 1) * 255).round() / 255
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=torch.float64, device=images.device)
    return (levels * weights[:, None, None]).sum(1, keepdim=True) + 16


def psnr(images: Tensor, truth: Tensor, region: Tensor | None = None, border: int = 0) -> Tensor:
    """Peak signal-to-noise ratio in dB of each image, (B,); higher is better.

    Args:
        images: (B, 3, H, W) RGB in [0, 1].
        truth: The same of the truth.
        region: (B, 1, H, W) bool; where given, only its pixels count, and an image without
            any gives NaN.
        border: Pixels left out along each edge.

    Raises:
        UsageError: Shapes differ, or nothing is left within the border.

    """
    return decibels(error_map(images, truth), region, border)


def ssim(images: Tensor, truth: Tensor, region: Tensor | None = None, border: int = 0) -> Tensor:
    """Structural similarity of each image, (B,), at most 1; higher is better (Wang et al. 2004).

    Args:
        images: (B, 3, H, W) RGB in [0, 1], H and W at least `WINDOW`.
        truth: The same of the truth.
        region: (B, 1, H, W) bool; where given, only windows whose centre lies in it count, and
            an image without any gives NaN.
        border: Pixels left out along each edge, before any window is laid.

    Raises:
        UsageError: Shapes differ, or nothing is left within the border.

    """
    return similarity(similarity_map(images, truth), region, border)


def error_map(images: Tensor, truth: Tensor) -> Tensor:
    """Squared difference of luma, (B, 1, H, W)."""
    _same_shape(images, truth)
    return (luma(images) - luma(truth)) ** 2


def similarity_map(images: Tensor, truth: Tensor) -> Tensor:
    """SSIM of every window that lies inside, (B, 1, H - 10, W - 10)."""
    _same_shape(images, truth)
    if min(images.shape[-2:]) < WINDOW:
        raise UsageError(
            f"images are {tuple(images.shape)}, smaller than the window of {WINDOW} pixels",
            where="ssim",
        )
    x, y = luma(images), luma(truth)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x**2
    var_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    return ((2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2)
    )


def decibels(errors: Tensor, region: Tensor | None = None, border: int = 0) -> Tensor:
    """PSNR (B,) of an `error_map`, as `psnr` explains."""
    return 10 * torch.log10(PEAK**2 / _mean(errors, region, border))


def similarity(similarities: Tensor, region: Tensor | None = None, border: int = 0) -> Tensor:
    """SSIM (B,) of a `similarity_map`, as `ssim` explains."""
    if region is not None:
        reach = WINDOW // 2
        region = region[..., reach:-reach, reach:-reach]
    return _mean(similarities, region, border)


def _mean(values: Tensor, region: Tensor | None, border: int) -> Tensor:
    if border < 0 or 2 * border >= min(values.shape[-2:]):
        raise UsageError(
            f"a border of {border} pixels leaves nothing of {tuple(values.shape[-2:])}",
            where="metrics",
        )
    if border:
        values = values[..., border:-border, border:-border]
    if region is None:
        return values.mean(dim=(1, 2, 3))
    if border:
        region = region[..., border:-border, border:-border]
    return (values * region).sum(dim=(1, 2, 3)) / region.sum(dim=(1, 2, 3))


def _blur(x: Tensor) -> Tensor:
    offsets = torch.arange(WINDOW, dtype=torch.float64, device=x.device) - WINDOW // 2
    kernel = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    kernel = kernel / kernel.sum()
    return F.conv2d(F.conv2d(x, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def _same_shape(images: Tensor, truth: Tensor) -> None:
    if images.shape != truth.shape:
        raise UsageError(
            f"images are {tuple(images.shape)} and their truth is {tuple(truth.shape)}",
            where="metrics",
        )
