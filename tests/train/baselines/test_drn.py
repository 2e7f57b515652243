"""DRN: its published sizes, its pictures at all scales and its dual networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from network_counts import gmac, parameters
from torch import Tensor, nn
from torch.nn import functional as F

from jdsr_cli.errors import UsageError
from jdsr_train.baselines.drn import DRN, DRNConfig, DualNetworks


def tiny(lr_size: int = 16) -> DRN:
    torch.manual_seed(0)
    return DRN(DRNConfig(lr_size=lr_size, blocks=1, features=4)).eval()


def faces(side: int = 16) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("config", "count", "cost"),
    [
        (DRNConfig(), 4_804_041, 12.191),
        (DRNConfig(size="L"), 9_825_869, 24.938),
        (DRNConfig(lr_size=16), 5_402_976, 5.484),
        (DRNConfig(lr_size=16, size="L"), 10_003_994, 10.156),
    ],
    ids=["S-x4", "L-x4", "S-x8", "L-x8"],
)
def test_parameters_and_multiply_adds_of_drn(config: DRNConfig, count: int, cost: float) -> None:
    with torch.device("meta"):
        network = DRN(config)
    assert parameters(network) == count
    assert round(gmac(network, 3, config.lr_size), 3) == cost


@torch.no_grad()
@pytest.mark.parametrize(("lr_size", "sides"), [(32, [32, 64, 128]), (16, [16, 32, 64, 128])])
def test_pictures_of_all_scales_come_coarsest_first(lr_size: int, sides: list[int]) -> None:
    steps = tiny(lr_size)(faces(lr_size)).steps
    assert [tuple(step.shape) for step in steps] == [(2, 3, side, side) for side in sides]


@torch.no_grad()
def test_pictures_are_levels_around_the_mean() -> None:
    network = tiny()
    for layer in network.outputs:
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, 25.5)
    expected = torch.tensor([0.4488, 0.4371, 0.4040]) + 0.1
    for step in network(faces()).steps:
        torch.testing.assert_close(step, expected[:, None, None].expand_as(step))


@torch.no_grad()
def test_the_input_is_enlarged_bicubically_before_the_first_convolution() -> None:
    network, received = tiny(), []
    network.enter.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    network(faces())
    mean = torch.tensor([0.4488, 0.4371, 0.4040])[:, None, None]
    enlarged = F.interpolate(faces(), scale_factor=8, mode="bicubic", align_corners=False)
    torch.testing.assert_close(received[0], 255 * (enlarged - mean), rtol=1e-5, atol=1e-3)


@torch.no_grad()
def test_each_stage_takes_the_features_beside_it() -> None:
    """A stage that gives nothing leaves the features of the way down, finest last."""
    network, received = tiny(), []
    entered: list[Tensor] = []
    network.enter.register_forward_hook(lambda *call: entered.append(call[2]))
    network.outputs[-1].register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    network(faces())
    assert received[0].shape == (2, 8, 128, 128)
    assert torch.equal(received[0][:, 4:], entered[0])


@pytest.mark.parametrize(("scale", "count"), [(4, 2 * 162), (8, 3 * 162)])
def test_a_dual_network_maps_each_scale_to_the_next_lower_one(scale: int, count: int) -> None:
    networks = DualNetworks(scale)
    assert parameters(networks) == count
    pictures = [
        torch.rand(1, 3, side, side) for side in (16, 32, 64, 128)[-len(networks.networks) - 1 :]
    ]
    reduced = networks(*pictures)
    assert [one.shape for one in reduced] == [one.shape for one in pictures[:-1]]
    changed = [*pictures[:-1], pictures[-1] + 0.1]
    again = networks(*changed)
    assert torch.equal(again[0], reduced[0])
    assert not torch.equal(again[-1], reduced[-1])


def test_dual_networks_treat_all_ranges_alike() -> None:
    networks = DualNetworks(4)
    pictures = [torch.rand(1, 3, side, side) for side in (32, 64, 128)]
    levels = networks(*(255 * picture for picture in pictures))
    for one, other in zip(networks(*pictures), levels, strict=True):
        torch.testing.assert_close(255 * one, other, rtol=1e-4, atol=1e-3)


def test_gradients_reach_every_dual_network() -> None:
    networks = DualNetworks(8)
    pictures = [torch.rand(1, 3, side, side) for side in (16, 32, 64, 128)]
    sum(one.sum() for one in networks(*pictures)).backward()
    assert all(parameter.grad.any() for parameter in networks.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr_size": 128}, "lr_size is 128"),
        ({"size": "M"}, "'M', it can be 'S' or 'L'"),
        ({"features": 3}, "features at least 4"),
        ({"blocks": 0}, "blocks is at least 1"),
    ],
)
def test_impossible_shapes_of_drn_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DRNConfig(**arguments)
