"""Hourglasses and their bottlenecks."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from jdsr_cli.networks.hourglass import Bottleneck, Hourglass, bottlenecks


@pytest.mark.parametrize(("blocks", "expected"), [(4, 52), (1, 13)])
def test_hourglass_has_the_bottlenecks_of_its_parent_network(blocks: int, expected: int) -> None:
    with torch.device("meta"):
        hourglass = Hourglass(partial(bottlenecks, 32, blocks))
    count = sum(isinstance(part, Bottleneck) for part in hourglass.modules())
    assert count == expected


def test_hourglass_of_identities_adds_its_levels() -> None:
    hourglass = Hourglass(partial(bottlenecks, 16, 1, True)).eval()
    for part in hourglass.modules():
        if isinstance(part, Bottleneck):
            part.last.weight.data.zero_()
            part.last.bias.data.zero_()
    with torch.no_grad():
        result = hourglass(torch.ones(1, 16, 64, 64))
    # Each of four levels adds its branch, which is 1, to the 1 of the lowest level.
    assert torch.equal(result, torch.full_like(result, 5.0))


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_an_hourglass_halves_its_resolution_as_often_as_it_is_deep(depth: int) -> None:
    hourglass, sizes = Hourglass(nn.Identity, depth), []
    hourglass.bottom.register_forward_hook(lambda *call: sizes.append(call[2].shape[-1]))
    result = hourglass(torch.ones(1, 1, 32, 32))
    assert sizes == [32 >> depth]
    assert torch.equal(result, torch.full_like(result, depth + 1.0))


@pytest.mark.parametrize("bilinear", [False, True])
def test_features_are_enlarged_by_the_chosen_interpolation(bilinear: bool) -> None:
    x = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    result = Hourglass(nn.Identity, 1, bilinear=bilinear)(x)
    low = F.max_pool2d(x, 2)
    if bilinear:
        expected = F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=True)
        assert torch.equal(expected[..., 0, 0], low[..., 0, 0])
    else:
        expected = low.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(result, x + expected)


def test_a_bottleneck_can_change_the_number_of_channels() -> None:
    bottleneck = Bottleneck(8, inputs=3).eval()
    nn.init.zeros_(bottleneck.last.weight)
    nn.init.zeros_(bottleneck.last.bias)
    x = torch.randn(1, 3, 5, 7)
    assert torch.equal(bottleneck(x), bottleneck.skip(x))
    assert bottleneck(x).shape == (1, 8, 5, 7)
