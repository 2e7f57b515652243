"""PSNR and SSIM by region: without the border, under and beside a mask, beside eyes and mouth."""

from __future__ import annotations

import torch
from torch import Tensor

from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.metrics.fidelity import Truth, decibels, psnr, similarity
from jdsr_cli.faces.regions import eyes_and_mouth

FIDELITY = (
    "psnr", "ssim", "psnr_crop", "ssim_crop",
    "psnr_covered", "ssim_covered", "psnr_beside", "ssim_beside",
)  # fmt: skip
"""Names of the figures of `fidelity`, in their order."""


def fidelity(
    images: Tensor, truth: Tensor | Truth, covered: Tensor, border: int = 0
) -> dict[str, Tensor]:
    """Return every figure of `FIDELITY`, (B,) float64 each (SPEC 5).

    Args:
        images: (B, 3, H, W) RGB in [0, 1].
        truth: The same of the truth, or that prepared.
        covered: (B, 1, H, W) bool, where the mask is. Its pixels count for `psnr_covered` and
            the others for `psnr_beside`; SSIM counts windows by their centre. NaN where an image
            has none.
        border: Pixels left out along each edge for `psnr_crop` and `ssim_crop`.

    Raises:
        UsageError: Shapes differ, or nothing is left within the border.

    """
    known = truth if isinstance(truth, Truth) else Truth.of(truth)
    if images.shape[-2:] != known.luma.shape[-2:] or len(images) != len(known.luma):
        raise UsageError(
            f"images are {tuple(images.shape)} and their truth is {tuple(known.luma.shape)}",
            where="metrics",
        )
    errors, similarities = known.compare(images)
    cuts: dict[str, tuple[Tensor | None, int]] = {
        "": (None, 0), "_crop": (None, border), "_covered": (covered, 0), "_beside": (~covered, 0),
    }  # fmt: skip
    found: dict[str, Tensor] = {}
    for name, (region, cut) in cuts.items():
        found[f"psnr{name}"] = decibels(errors, region, cut)
        found[f"ssim{name}"] = similarity(similarities, region, cut)
    return found


def unaltered(images: Tensor, given: Tensor) -> Tensor:
    """PSNR in dB of restored faces against what was given, beside eyes and mouth, (B,).

    A restorer has nothing to do on a face that is bare and sharp; from 40 dB on the change cannot
    be seen. Infinite where no level of luma has changed.

    Args:
        images: (B, 3, 128, 128) RGB in [0, 1], aligned to the template.
        given: The same before restoration, enlarged to this size where it was smaller.

    Raises:
        UsageError: Shapes differ.

    """
    beside = torch.from_numpy(~eyes_and_mouth()).to(images.device)
    return psnr(images, given, beside.expand(len(images), 1, -1, -1))
