"""`burst`: the `lite` generator for several shots of one face.

The shots are registered beforehand (`jdsr_cli.faces.registration`) on the best one. A small network
that all shots share weighs their pixels by how they differ from that reference: a moved mouth and a
passing hand are left out. The weighted mean of the shots enters the trunk and the skip connections
of the generator as a single picture does. What the mean does not show, namely how the reference and
the other shots differ from it and how many there are, enters as additional features, and low-rank
changes of its convolutions (LoRA, arXiv 2106.09685) adapt the trunk to means. Both vanish for a
single shot, which is restored exactly as by the generator of single shots.

The reference is the shot with the largest weight, the mean of several with equal ones, so that the
order of the shots does not matter, up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from jdsr_cli.errors import UsageError
from jdsr_cli.networks.layers import GeneratorOutput
from jdsr_cli.networks.lite import GRID, LiteConfig, LiteGenerator

COVERED_WEIGHT = 1e-3
"""Weight of a covered pixel relative to a visible one: it counts where all shots are covered."""
MAX_LOGIT = 4.0
"""Limit of the learned logarithm of a pixel's weight, in both directions."""


@dataclass(frozen=True)
class BurstConfig(LiteConfig):
    """Shape of a `BurstGenerator`; the fields of `LiteConfig` are those of its single generator."""

    lr_size: int = 128
    """Side of the shots in pixels: 64 or 128."""
    tail_blocks: int = 3
    """Residual blocks at 64x64."""
    weight_width: int = 32
    """Channels of the network that weighs pixels."""
    rank: int = 16
    """Rank of the change of each convolution."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lr_size <= GRID:
            raise UsageError(f"lr_size is {self.lr_size}, it must exceed {GRID}", where="burst")
        if self.rank < 1 or self.weight_width < 1:
            raise UsageError("rank and weight_width are at least 1", where="burst")

    @property
    def single(self) -> LiteConfig:
        """Shape of the generator of single shots."""
        return LiteConfig(**{field.name: getattr(self, field.name) for field in fields(LiteConfig)})


class LowRankChange(nn.Module):
    """A low-rank matrix that is added to the weight of a convolution; zero initially."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        outputs, inputs = weight.shape[0], weight[0].numel()
        rank = min(rank, outputs, inputs)
        self.reduce = nn.Parameter(torch.randn(rank, inputs) * inputs**-0.5)
        self.expand = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, weight: Tensor, scale: float) -> Tensor:
        """Return the weight (out, in, k, k) plus `scale` times the change."""
        return weight + scale * (self.expand @ self.reduce).view_as(weight)


class ShotWeights(nn.Module):
    """The logarithms of the weights of each shot's pixels, from the shot and its differences.

    (N, C, 32, 32) folded shots and differences from the reference and (N, 2, 32, 32) visibility of
    the shot, and of the shot and the reference, to (N, 1, s, s).
    """

    def __init__(self, channels: int, width: int, fold: int) -> None:
        super().__init__()
        self.fold = fold
        self.first = nn.Conv2d(2 * channels + 2, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, 1, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, shots: Tensor, differences: Tensor, visible: Tensor) -> Tensor:
        """Return logarithms within `MAX_LOGIT`, bilinearly enlarged to the size of the shots."""
        features = self.first(torch.cat([shots, differences.abs(), visible], dim=1)).relu()
        logits = self.last(self.second(features).relu()).float()
        limited = MAX_LOGIT * torch.tanh(logits / MAX_LOGIT)
        return F.interpolate(limited, scale_factor=self.fold, mode="bilinear", align_corners=False)


class BurstGenerator(nn.Module):
    """Restores a face from several registered shots of it.

    The parameters of `single`, the generator of single shots, are frozen: they are those of other
    weights (`jdsr_cli.weights.registry.WeightEntry.base`).
    """

    def __init__(self, config: BurstConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BurstConfig()
        self.lr_size = config.lr_size
        self.single = LiteGenerator(config.single).requires_grad_(False)
        self.fold = self.single.fold
        channels, width = 3 * self.fold**2, config.widths[0]
        self.weigh = ShotWeights(channels, config.weight_width, self.fold)
        # Without biases: shots that do not differ, and a single one, give no features.
        self.difference = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.spread = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.offset = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.support = nn.Conv2d(1, width, 1, bias=False)
        for layer in (self.spread, self.offset, self.support):
            nn.init.zeros_(layer.weight)
        self._changed = tuple(
            f"{name}.weight"
            for name, layer in self.single.named_modules()
            if isinstance(layer, nn.Conv2d) and ".attention." not in name
        )
        self.changes = nn.ModuleList(
            LowRankChange(self.single.get_parameter(name), config.rank) for name in self._changed
        )

    def forward(
        self, shots: Tensor, visibility: Tensor | None = None, weights: Tensor | None = None
    ) -> GeneratorOutput:
        """Restore faces.

        Args:
            shots: (B, n, 3, lr_size, lr_size) RGB in [0, 1], registered; or (B, 3, lr_size,
                lr_size), a single shot of each face.
            visibility: (B, n, 1, lr_size, lr_size) in [0, 1]: share of each pixel that no mask
                covers; None if nothing is covered.
            weights: (B, n), above 0: how good each shot is; None for equally good ones.

        Returns:
            Of one face for each B; `occlusion` is the share of a pixel that all shots cover.

        """
        output: GeneratorOutput
        if shots.ndim == 4 or shots.shape[1] == 1:
            output = self.single(shots if shots.ndim == 4 else shots[:, 0])
            return output
        fused, features = self._combine(shots, visibility, weights)
        changed = self._change_weights(len(shots[0]))
        output = functional_call(self.single, changed, (fused, features))
        return output

    def _combine(
        self, shots: Tensor, visibility: Tensor | None, weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the weighted mean (B, 3, s, s), and features (B, C, 32, 32) of the differences."""
        count = shots.shape[1]
        if visibility is None:
            visibility = torch.ones_like(shots[:, :, :1])
        if weights is None:
            weights = torch.ones_like(shots[:, :, 0, 0, 0])
        visible = COVERED_WEIGHT + (1.0 - COVERED_WEIGHT) * visibility
        best = (weights >= weights.amax(1, keepdim=True)).to(shots.dtype)[:, :, None, None, None]
        reference = _mean(shots, best * visible)
        seen = ((best * visibility).sum(1) / best.sum(1))[:, None] * visibility
        differences = self._fold(seen * (shots - reference[:, None]))
        shown = torch.cat([visibility, seen], dim=2)
        logits = self.weigh(
            self._fold(shots), differences, F.avg_pool2d(shown.flatten(0, 1), self.fold)
        )
        trust = visible * weights[:, :, None, None, None] * logits.exp().view_as(visible)
        trust = trust / trust.sum(1, keepdim=True)
        fused = _mean(shots, trust)
        shares = F.avg_pool2d(trust.flatten(0, 1), self.fold)
        weighted = shares * self.difference(differences).relu()
        spread = self.spread(weighted.reshape(-1, count, *weighted.shape[1:]).sum(1))
        missing = (best * visibility).sum(1) / best.sum(1) * (reference - fused)
        offset = self.offset(F.pixel_unshuffle(missing, self.fold))
        # One less the inverse of the effective number of shots: 0 where a single one counts.
        support = self.support(1.0 - F.avg_pool2d((trust**2).sum(1), self.fold))
        return fused, spread + offset + support

    def _change_weights(self, count: int) -> dict[str, Tensor]:
        """Return the weights of the convolutions of `single` for a number of shots."""
        scale = 1.0 - 1.0 / count
        return {
            name: change(self.single.get_parameter(name), scale)
            for name, change in zip(self._changed, self.changes, strict=True)
        }

    def _fold(self, shots: Tensor) -> Tensor:
        """Fold (B, n, 3, s, s) into (B * n, C, 32, 32)."""
        return F.pixel_unshuffle(shots.flatten(0, 1), self.fold)


def _mean(shots: Tensor, trust: Tensor) -> Tensor:
    return (trust * shots).sum(1) / trust.sum(1)
