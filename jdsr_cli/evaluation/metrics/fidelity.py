"""PSNR and SSIM on the luma of BT.601, the field's protocol (PAPER section 4.4, SPEC 5).

All functions take batches (B, 3, H, W) of RGB in [0, 1], clamp them, round them to 8 bits as
saving does, and return float64: luma in limited range (16 to 235), peak 255. SSIM uses an 11x11
Gaussian window of sigma 1.5 at valid positions only. The error and similarity maps allow a caller
to compute several metrics of the same images: whole, without the border, by region.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.regions import eyes_and_mouth

PEAK = 255.0
WINDOW = 11
"""Side of the window of SSIM in pixels."""
_SIGMA = 1.5
_C1, _C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


def luma(images: Tensor) -> Tensor:
    """Return limited-range Y of BT.601, (B, 1, H, W) float64 in [16, 235], of RGB in [0, 1].

    Raises:
        UsageError: Not a floating (B, 3, H, W) tensor.

    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise UsageError(
            f"got {tuple(images.shape)} {images.dtype}", where="luma",
            hint="Give (B, 3, H, W) floating RGB in [0, 1]",
        )  # fmt: skip
    levels = images.clamp(0, 1).double().mul_(255).round_().div_(255)
    red, green, blue = levels[:, :1], levels[:, 1:2], levels[:, 2:]
    return 65.481 * red + 128.553 * green + 24.966 * blue + 16


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Ground truth, prepared once for many comparisons; float64."""

    luma: Tensor
    """(B, 1, H, W), the result of `luma`."""
    mean: Tensor
    """(B, 1, H - 10, W - 10), mean of luma in every SSIM window inside the image."""
    variance: Tensor
    """Variance of luma, of the same shape."""

    @classmethod
    def of(cls, pictures: Tensor) -> GroundTruth:
        """Prepare ground-truth images, (B, 3, H, W) RGB in [0, 1], H and W at least `WINDOW`.

        Raises:
            UsageError: The images are smaller.

        """
        if min(pictures.shape[-2:]) < WINDOW:
            raise UsageError(
                f"images are {tuple(pictures.shape)}, smaller than the window of {WINDOW} pixels",
                where="ssim",
            )
        y = luma(pictures)
        mean = _blur(y)
        return cls(y, mean, _blur(y * y) - mean**2)

    def compare(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the `error_map` and the `similarity_map` of images of the same shape."""
        x, y = luma(images), self.luma
        mean_x, mean_y = _blur(x), self.mean
        variance = _blur(x * x) - mean_x**2
        covariance = _blur(x * y) - mean_x * mean_y
        similarities = ((2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)) / (
            (mean_x**2 + mean_y**2 + _C1) * (variance + self.variance + _C2)
        )
        return (x - y) ** 2, similarities


def psnr(images: Tensor, truth: Tensor, region: Tensor | None = None, border: int = 0) -> Tensor:
    """Return the peak signal-to-noise ratio in dB of each image, (B,); higher is better.

    Args:
        images: (B, 3, H, W) RGB in [0, 1].
        truth: The ground truth of the same shape.
        region: (B, 1, H, W) bool; if given, only its pixels count, and an image with an empty
            region gives NaN.
        border: Width of the ignored border in pixels.

    Raises:
        UsageError: Shapes differ, or the border removes everything.

    """
    return decibels(error_map(images, truth), region, border)


def ssim(images: Tensor, truth: Tensor, region: Tensor | None = None, border: int = 0) -> Tensor:
    """Return the structural similarity of each image, (B,), at most 1 (Wang et al. 2004).

    Higher is better.

    Args:
        images: (B, 3, H, W) RGB in [0, 1], H and W at least `WINDOW`.
        truth: The ground truth of the same shape.
        region: (B, 1, H, W) bool; if given, only windows with their centre in it count, and an
            image with an empty region gives NaN.
        border: Width of the border in pixels, which is removed before windows are placed.

    Raises:
        UsageError: Shapes differ, or the border removes everything.

    """
    return similarity(similarity_map(images, truth), region, border)


def error_map(images: Tensor, truth: Tensor) -> Tensor:
    """Return the squared difference of luma, (B, 1, H, W)."""
    _same_shape(images, truth)
    return (luma(images) - luma(truth)) ** 2


def similarity_map(images: Tensor, truth: Tensor) -> Tensor:
    """Return the SSIM of every window inside the image, (B, 1, H - 10, W - 10)."""
    _same_shape(images, truth)
    return GroundTruth.of(truth).compare(images)[1]


def decibels(errors: Tensor, region: Tensor | None = None, border: int = 0) -> Tensor:
    """Return the PSNR (B,) of an `error_map`; see `psnr`."""
    return 10 * torch.log10(PEAK**2 / _mean(errors, region, border))


def similarity(similarities: Tensor, region: Tensor | None = None, border: int = 0) -> Tensor:
    """Return the SSIM (B,) of a `similarity_map`; see `ssim`."""
    if region is not None:
        reach = WINDOW // 2
        region = region[..., reach:-reach, reach:-reach]
    return _mean(similarities, region, border)


def _mean(values: Tensor, region: Tensor | None, border: int) -> Tensor:
    if border < 0 or 2 * border >= min(values.shape[-2:]):
        raise UsageError(
            f"a border of {border} pixels removes all of {tuple(values.shape[-2:])}",
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
    """Return the weighted means of all windows: (B, 1, H, W) to (B, 1, H - 10, W - 10).

    Computed with band matrices: convolutions in float64 take eight times as long.
    """
    down, across = (_band(side, x.device) for side in x.shape[-2:])
    return down @ (x @ across.T)


@lru_cache(maxsize=16)
@torch.inference_mode(mode=False)
def _band(side: int, device: torch.device) -> Tensor:
    """Return the (side - 10, side) float64 matrix that blurs a line of `side` pixels."""
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    kernel = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    band = torch.zeros(side - WINDOW + 1, side, dtype=torch.float64)
    for offset, weight in enumerate((kernel / kernel.sum()).tolist()):
        band.diagonal(offset).fill_(weight)
    return band.to(device)


def _same_shape(images: Tensor, truth: Tensor) -> None:
    if images.shape != truth.shape:
        raise UsageError(
            f"images are {tuple(images.shape)} and their truth is {tuple(truth.shape)}",
            where="metrics",
        )


FIDELITY_FIGURES = (
    "psnr", "ssim", "psnr_crop", "ssim_crop",
    "psnr_covered", "ssim_covered", "psnr_beside", "ssim_beside",
)  # fmt: skip
"""Names of the metrics of `fidelity_by_region`, in order."""


def fidelity_by_region(
    images: Tensor, truth: Tensor | GroundTruth, covered: Tensor, border: int = 0
) -> dict[str, Tensor]:
    """Return every metric of `FIDELITY_FIGURES`, (B,) float64 each (SPEC 5).

    Args:
        images: (B, 3, H, W) RGB in [0, 1].
        truth: The ground truth of the same shape, or the prepared ground truth.
        covered: (B, 1, H, W) bool, the region of the mask. Its pixels count for `psnr_covered`
            and the others for `psnr_beside`; SSIM counts windows by their centre. NaN for an
            empty region.
        border: Width of the ignored border in pixels for `psnr_crop` and `ssim_crop`.

    Raises:
        UsageError: Shapes differ, or the border removes everything.

    """
    prepared = truth if isinstance(truth, GroundTruth) else GroundTruth.of(truth)
    if images.shape[-2:] != prepared.luma.shape[-2:] or len(images) != len(prepared.luma):
        raise UsageError(
            f"images are {tuple(images.shape)} and their truth is {tuple(prepared.luma.shape)}",
            where="metrics",
        )
    errors, similarities = prepared.compare(images)
    regions: dict[str, tuple[Tensor | None, int]] = {
        "": (None, 0), "_crop": (None, border), "_covered": (covered, 0), "_beside": (~covered, 0),
    }  # fmt: skip
    values: dict[str, Tensor] = {}
    for name, (region, width) in regions.items():
        values[f"psnr{name}"] = decibels(errors, region, width)
        values[f"ssim{name}"] = similarity(similarities, region, width)
    return values


def unaltered_psnr(images: Tensor, inputs: Tensor) -> Tensor:
    """Return the PSNR in dB of restored faces to their input outside eyes and mouth, (B,).

    A bare, sharp face should not be changed; a change is invisible from 40 dB. The result is
    infinite if luma is unchanged.

    Args:
        images: (B, 3, 128, 128) RGB in [0, 1], aligned to the template.
        inputs: The faces before restoration, enlarged to this size if smaller.

    Raises:
        UsageError: Shapes differ.

    """
    outside = torch.from_numpy(~eyes_and_mouth()).to(images.device)
    return psnr(images, inputs, outside.expand(len(images), 1, -1, -1))
