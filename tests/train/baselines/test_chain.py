"""A chain gives the denoised face of CBDNet to a super-resolver."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from network_counts import gmac, parameters

from jdsr_cli.errors import UsageError
from jdsr_train.baselines.cbdnet import CBDNet
from jdsr_train.baselines.chain import Chain, ChainConfig
from jdsr_train.baselines.srfbn import SRFBN

TINY: dict[str, Any] = {
    "lr_size": 16,
    "super_resolver": "srfbn",
    "arguments": {"features": 4, "groups": 2, "feedback_steps": 2},
    "noise_width": 16,
    "denoiser_widths": (16, 16, 16),
}


@pytest.mark.parametrize(
    ("config", "count", "cost"),
    [
        (ChainConfig(super_resolver="drn"), 4_365_382 + 4_804_041, 12.77),
        (ChainConfig(super_resolver="srfbn"), 4_365_382 + 3_631_454, 20.51),
        (ChainConfig(16, "drn"), 4_365_382 + 5_402_976, 5.63),
    ],
    ids=["drn-x4", "srfbn-x4", "drn-x8"],
)
def test_parameters_and_multiply_adds_of_chains(
    config: ChainConfig, count: int, cost: float
) -> None:
    with torch.device("meta"):
        network = Chain(config)
    assert parameters(network) == count
    assert round(gmac(network, 3, config.lr_size), 2) == cost


@torch.no_grad()
def test_the_super_resolver_receives_the_denoised_face_in_its_range() -> None:
    torch.manual_seed(0)
    network = Chain(ChainConfig(**TINY)).eval()
    assert isinstance(network.denoiser, CBDNet)
    assert isinstance(network.super_resolver, SRFBN)
    lr = torch.rand(2, 3, 16, 16)
    found = network.denoiser(lr)
    assert found.denoised.min() < 0
    assert found.denoised.max() > 1
    output = network(lr)
    expected = network.super_resolver(found.denoised.clamp(0, 1))
    assert torch.equal(output.restored, expected.restored)
    assert len(output.steps) == 2
    assert torch.equal(output.denoised, found.denoised)
    assert torch.equal(output.noise_map, found.noise_map)
    assert torch.equal(output.occlusion, found.occlusion)


def test_both_networks_have_the_size_of_the_chain() -> None:
    with torch.device("meta"):
        network = Chain(ChainConfig(**TINY))
    assert network.denoiser.lr_size == network.super_resolver.lr_size == network.lr_size == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arguments": {"lr_size": 16}}, "both networks have the chain's"),
        ({"super_resolver": "chain"}, "is itself a chain"),
        ({"super_resolver": "srfbm"}, "no network is called 'srfbm'"),
        ({"arguments": {"width": 4}}, "no argument 'width'"),
    ],
)
def test_impossible_chains_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message), torch.device("meta"):
        Chain(ChainConfig(**{**TINY, **changes}))
