"""PSNR and SSIM of a face as a whole, without its border, under its mask and beside it."""

from __future__ import annotations

from torch import Tensor

from jdsr_cli.metrics.fidelity import decibels, error_map, similarity, similarity_map

FIDELITY = (
    "psnr", "ssim", "psnr_crop", "ssim_crop",
    "psnr_covered", "ssim_covered", "psnr_beside", "ssim_beside",
)  # fmt: skip
"""Names of the figures of `fidelity`, in their order."""


def fidelity(images: Tensor, truth: Tensor, covered: Tensor, border: int = 0) -> dict[str, Tensor]:
    """Return every figure of `FIDELITY`, (B,) float64 each (SPEC 5).

    Args:
        images: (B, 3, H, W) RGB in [0, 1].
        truth: The same of the truth.
        covered: (B, 1, H, W) bool, where the mask is. Its pixels count for `psnr_covered` and
            the others for `psnr_beside`; SSIM counts windows by their centre. NaN where an image
            has none.
        border: Pixels left out along each edge for `psnr_crop` and `ssim_crop`.

    Raises:
        UsageError: Shapes differ, or nothing is left within the border.

    """
    errors, similarities = error_map(images, truth), similarity_map(images, truth)
    cuts: dict[str, tuple[Tensor | None, int]] = {
        "": (None, 0), "_crop": (None, border), "_covered": (covered, 0), "_beside": (~covered, 0),
    }  # fmt: skip
    found: dict[str, Tensor] = {}
    for name, (region, cut) in cuts.items():
        found[f"psnr{name}"] = decibels(errors, region, cut)
        found[f"ssim{name}"] = similarity(similarities, region, cut)
    return found
