"""Terms that compare images with their truth, or ask them to be smooth (eq. 10 and 12)."""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_loss(image: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error (eq. 10 and its high-resolution twin)."""
    return (image.float() - truth.detach().float()).abs().mean()


def smooth_loss(image: Tensor) -> Tensor:
    """Mean absolute difference of neighbours, vertical plus horizontal (eq. 12).

    Only differences inside the image count. A ramp from 0 to 1 over 128 px gives 1/127.
    """
    image = image.float()
    down = image[..., 1:, :] - image[..., :-1, :]
    across = image[..., :, 1:] - image[..., :, :-1]
    return down.abs().mean() + across.abs().mean()


def coarse_loss(coarse: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error of the coarse face I_C.

    Not in the paper's eq. 17; the parent networks FSRNet and FCSR-GAN have it (SPEC 2).
    """
    return ((coarse.float() - truth.detach().float()) ** 2).mean()


def decibel_loss(image: Tensor, truth: Tensor) -> Tensor:
    """Minus the mean over images of the RGB PSNR in dB, peak 1.

    Ours, for the light generators: the gradient of each image is scaled by its own error, so
    easy faces go on improving while hard ones (large masks) do not drown them.
    """
    error = ((image.float() - truth.detach().float()) ** 2).flatten(1).mean(1)
    return (10 * torch.log10(error + 1e-8)).mean()
