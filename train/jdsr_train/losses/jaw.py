"""The edge strength along a covered jaw line. Not in the paper.

Nothing in the picture shows where below a mask a chin ends, so that the pixel terms are smallest
for a smooth transition, and so is a comparison of gradients pixel by pixel: where the place of an
edge is uncertain, its expected gradient is small everywhere. This term therefore compares the
root mean square of the gradient in windows, which an edge of the right contrast and sharpness
attains anywhere in its window; a blurred edge of the same contrast does not.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from jdsr_cli.conventions import LUMA_WEIGHTS

STRIDE = 4
"""Distance of the windows' centres in pixels."""
WINDOW = 16
"""Side of a window in pixels: about three times the error of a chin restored below a mask."""
BAND_SIGMA = 5.0
"""Standard deviation of the band around the jaw line in pixels: errors of landmarks are 2 to 4."""
FLOOR = 2 / 255
"""Added to the mean square of the gradient, as its square: grain of a grey level or two has no
edge strength."""


def jaw_loss(restored: Tensor, truth: Tensor, occlusion: Tensor, jaw: Tensor) -> Tensor:
    """Return the error of the edge strength of luma along the covered jaw line.

    It is the mean absolute difference over the windows along the jaw line, whether covered or not,
    where a bare window has no error; 0 if no window is near a jaw line. Horizontal and vertical
    edges are compared separately. Outside of the covered part the truth is taken, so that bare
    pixels get no gradient.

    Args:
        restored: (B, 3, S, S) RGB in [0, 1]; S is a multiple of 4.
        truth: The same of the true faces, no gradient.
        occlusion: (B, 1, s, s) covered share in [0, 1].
        jaw: (B, P, 2) x, y of successive points of the jaw line in pixels of S; a face with a
            coordinate that is not finite is left out.

    """
    restored, truth = restored.float(), truth.detach().float()
    side = restored.shape[-1]
    share = F.interpolate(occlusion.detach().float(), size=(side, side), mode="bilinear")
    strength = edge_strength(truth + share * (restored - truth))
    error = (strength - edge_strength(truth)).abs().mean(1, keepdim=True)
    band = jaw_band(jaw, side // STRIDE)
    covered = F.avg_pool2d(share, STRIDE)
    return (band * covered * error).sum() / band.sum().clamp_min(1.0)


def edge_strength(pictures: Tensor) -> Tensor:
    """Return the root mean square of the luma gradient across and down in windows.

    Args:
        pictures: (B, 3, S, S) RGB in [0, 1].

    Returns:
        (B, 2, S / 4, S / 4), change of luma per pixel; `FLOOR` where the picture is flat.

    """
    red, green, blue = LUMA_WEIGHTS
    luma = red * pictures[:, :1] + green * pictures[:, 1:2] + blue * pictures[:, 2:]
    luma = F.pad(luma, (1, 1, 1, 1), mode="replicate")
    across = (luma[..., 1:-1, 2:] - luma[..., 1:-1, :-2]) / 2
    down = (luma[..., 2:, 1:-1] - luma[..., :-2, 1:-1]) / 2
    squares = F.avg_pool2d(
        torch.cat([across, down], 1) ** 2,
        WINDOW,
        STRIDE,
        padding=(WINDOW - STRIDE) // 2,
        count_include_pad=False,
    )
    return (squares + FLOOR**2).sqrt()


def jaw_band(jaw: Tensor, size: int) -> Tensor:
    """Return a Gaussian of the distance of each window's centre from the jaw line.

    Args:
        jaw: (B, P, 2) x, y in pixels.
        size: Number of windows along a side, `STRIDE` pixels apart.

    Returns:
        (B, 1, size, size) in [0, 1]; 0 for a face with a coordinate that is not finite.

    """
    known = jaw.isfinite().flatten(1).all(1)
    points = torch.where(known[:, None, None], jaw.detach().float(), 0.0)
    centres = (torch.arange(size, device=jaw.device) + 0.5) * STRIDE - 0.5
    grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1).view(1, -1, 1, 2)
    start, step = points[:, None, :-1], (points[:, 1:] - points[:, :-1])[:, None]
    length = (step**2).sum(-1).clamp_min(1e-6)
    along = (((grid - start) * step).sum(-1) / length).clamp(0, 1)
    nearest = ((grid - start - along[..., None] * step) ** 2).sum(-1).amin(-1)
    band = torch.exp(-nearest / (2 * BAND_SIGMA**2)) * known[:, None]
    return band.view(-1, 1, size, size)
