"""CBDNet is the paper's denoiser without channel attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from network_counts import gmac, parameters

from jdsr_cli.errors import UsageError
from jdsr_cli.networks import ChannelAttention, occlusion_from_noise
from jdsr_cli.networks.layers import enlarge
from jdsr_train.baselines.cbdnet import CBDNet, CBDNetConfig


@pytest.mark.parametrize(("lr_size", "cost"), [(128, 9.265), (32, 0.579), (16, 0.145)])
def test_parameters_and_multiply_adds_of_cbdnet(lr_size: int, cost: float) -> None:
    with torch.device("meta"):
        network = CBDNet(CBDNetConfig(lr_size=lr_size))
    assert parameters(network) == 4_365_382
    assert round(gmac(network, 3, lr_size), 3) == cost


def test_nothing_of_channel_attention_is_left() -> None:
    with torch.device("meta"):
        network = CBDNet()
    assert not any(isinstance(part, ChannelAttention) for part in network.modules())


@torch.no_grad()
def test_the_output_is_that_of_the_denoiser() -> None:
    torch.manual_seed(0)
    network = CBDNet(CBDNetConfig(16, 16, (16, 16, 16))).eval()
    lr = torch.rand(1, 3, 16, 16)
    denoised, gamma = network.denoiser(lr)
    output = network(lr)
    assert torch.equal(output.denoised, denoised)
    assert torch.equal(output.noise_map, gamma)
    assert torch.equal(output.occlusion, occlusion_from_noise(gamma))
    assert torch.equal(output.restored, enlarge(denoised, 128))


def test_weights_of_cbdnet_are_initially_he_normal_without_bias() -> None:
    torch.manual_seed(0)
    layer = CBDNet().denoiser.down2[-3]
    assert layer.bias.abs().max() == 0
    assert layer.weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr_size": 48}, "lr_size is 48"),
        ({"denoiser_widths": (64, 128)}, "3 entries"),
        ({"noise_width": 8}, "at least 16"),
    ],
)
def test_impossible_shapes_of_cbdnet_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CBDNetConfig(**arguments)
