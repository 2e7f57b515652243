"""Parameters and multiply-adds of the paper's generator equal those of the specification."""

from __future__ import annotations

import pytest
import torch
from network_counts import gmac, parameters
from torch import nn

from jdsr_cli.networks import ChannelAttention, JDSRConfig, JDSRGenerator


def attention_parameters(module: nn.Module) -> int:
    return sum(parameters(part) for part in module.modules() if isinstance(part, ChannelAttention))


@pytest.fixture(scope="module")
def generator() -> JDSRGenerator:
    with torch.device("meta"):
        return JDSRGenerator()


@pytest.mark.parametrize(
    ("config", "count", "cost"),
    [
        (JDSRConfig(), 31_985_864, 50.00),
        (JDSRConfig(lr_size=16), 31_985_864, 50.00),
        (JDSRConfig(grid="lr"), 31_985_864, 41.31),
        (JDSRConfig(grid="lr", lr_size=16), 31_985_864, 40.88),
        (JDSRConfig(hourglass_attention=True), 32_866_120, 50.00),
        (JDSRConfig(hourglass_blocks=1), 15_252_680, 39.55),
        (JDSRConfig(attention=False), 4_365_382 + 27_517_794, 50.00),
    ],
    ids=["hr-x4", "hr-x8", "lr-x4", "lr-x8", "hourglass-attention", "light", "no-attention"],
)
def test_parameters_and_multiply_adds_of_the_generator(
    config: JDSRConfig, count: int, cost: float
) -> None:
    with torch.device("meta"):
        network = JDSRGenerator(config)
    assert parameters(network) == count
    assert round(gmac(network, 3, config.lr_size), 2) == cost


def test_landmark_count_changes_two_convolutions_only() -> None:
    with torch.device("meta"):
        network = JDSRGenerator(JDSRConfig(landmarks=68))
    assert parameters(network) == 31_985_864 - 9_165


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ("denoiser", 4_432_238),
        ("super_resolver", 27_553_626),
        ("super_resolver.coarse", 226_959),
        ("super_resolver.encoder", 932_080),
        ("super_resolver.prior", 26_079_372),
        ("super_resolver.decoder", 315_215),
    ],
)
def test_parameters_of_parts(generator: JDSRGenerator, part: str, count: int) -> None:
    assert parameters(generator.get_submodule(part)) == count


def test_without_attention_the_counts_are_those_of_the_parent_networks(
    generator: JDSRGenerator,
) -> None:
    denoiser, resolver = generator.denoiser, generator.super_resolver
    assert parameters(denoiser) - attention_parameters(denoiser) == 4_365_382
    assert parameters(resolver) - attention_parameters(resolver) == 27_517_794


@pytest.mark.parametrize(
    ("part", "channels", "side", "cost"),
    [
        ("denoiser", 3, 128, 9.265),
        ("denoiser", 3, 32, 0.579),
        ("denoiser", 3, 16, 0.145),
        ("super_resolver", 3, 128, 40.735),
        ("super_resolver.coarse", 3, 128, 3.681),
        ("super_resolver.encoder", 3, 128, 3.782),
        ("super_resolver.prior", 3, 128, 29.252),
        ("super_resolver.decoder", 156, 64, 4.020),
    ],
)
def test_multiply_adds_of_parts(
    generator: JDSRGenerator, part: str, channels: int, side: int, cost: float
) -> None:
    assert round(gmac(generator.get_submodule(part), channels, side), 3) == cost


@pytest.mark.parametrize(("channels", "count"), [(32, 162), (64, 580), (128, 2_184), (256, 8_464)])
def test_parameters_of_channel_attention(channels: int, count: int) -> None:
    assert parameters(ChannelAttention(channels)) == count


def test_shapes_at_full_size(generator: JDSRGenerator) -> None:
    output = generator.eval()(torch.zeros(2, 3, 32, 32, device="meta"))
    assert output.restored.shape == output.coarse.shape == (2, 3, 128, 128)
    assert output.denoised.shape == output.noise_map.shape == (2, 3, 128, 128)
    assert output.occlusion.shape == (2, 1, 128, 128)
    assert output.landmarks.shape == (2, 81, 64, 64)
    assert output.parsing.shape == (2, 11, 64, 64)
    assert generator.super_resolver.decoder.enter[0].in_channels == 64 + 81 + 11
