"""Terms that compare maps of a frozen network: perceptual and style (eq. 11 and 13)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

Maps = Sequence[Tensor]
"""Maps of one batch, (B, C, H, W) each, as `FeatureExtractor.maps` returns them."""


def _pairs(found: Maps, wanted: Maps) -> Iterator[tuple[Tensor, Tensor]]:
    for one, other in zip(found, wanted, strict=True):
        yield one.float(), other.detach().float()


def perceptual_loss(found: Maps, wanted: Maps) -> Tensor:
    """Sum over levels of the mean absolute difference of the maps (eq. 11).

    The paper's normaliser leaves out the channels; the mean over them too is that of the parent
    network (SPEC 2).
    """
    return torch.stack([(f - w).abs().mean() for f, w in _pairs(found, wanted)]).sum()


def gram(maps: Tensor) -> Tensor:
    """Products of every two channels, (B, C, H, W) to (B, C, C), over C * H * W (eq. 13)."""
    _, channels, height, width = maps.shape
    with torch.autocast(maps.device.type, enabled=False):
        flat = maps.float().flatten(2)
        return flat @ flat.mT / (channels * height * width)


def style_loss(found: Maps, wanted: Maps) -> Tensor:
    """Sum over levels of the mean absolute difference of the Gram matrices (eq. 13)."""
    return torch.stack([(gram(f) - gram(w)).abs().mean() for f, w in _pairs(found, wanted)]).sum()
