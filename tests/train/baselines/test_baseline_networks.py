"""What holds for all networks of the baselines, and their registration."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jdsr_cli.networks import ChannelAttention, GeneratorOutput, build, known_networks
from jdsr_cli.networks.further import GROUP, load_network

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
TARGETS: dict[str, str] = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"][
    "entry-points"
][GROUP]
TINY: dict[str, dict[str, Any]] = {
    "cbdnet": {"noise_width": 16, "denoiser_widths": (16, 16, 16)},
    "chain": {
        "super_resolver": "srfbn",
        "arguments": {"features": 4, "groups": 2, "feedback_steps": 2},
        "noise_width": 16,
        "denoiser_widths": (16, 16, 16),
    },
    "dic": {
        "features": 4,
        "groups": 2,
        "feedback_steps": 2,
        "fusion_blocks": 1,
        "prior_width": 8,
        "depth": 1,
    },
    "drn": {"blocks": 1, "features": 4},
    "fsrnet": {
        "landmarks": 5,
        "width": 8,
        "coarse_blocks": 1,
        "encoder_blocks": 1,
        "decoder_blocks": 1,
        "prior_width": 8,
        "prior_blocks": 1,
        "hourglasses": 1,
        "depth": 1,
    },
    "sicnn": {"width": 4, "growth": 2, "layers": 2, "tail_layers": 1},
    "srfbn": {"features": 4, "groups": 2, "feedback_steps": 2},
}
"""Arguments of a small network of each name."""


def tiny(name: str, lr_size: int) -> nn.Module:
    configuration, module = load_network(EntryPoint(name, TARGETS[name], GROUP))
    torch.manual_seed(0)
    return module(configuration(lr_size=lr_size, **TINY[name]))


def faces(side: int) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def tensors(output: GeneratorOutput) -> list[Tensor]:
    """Return all tensors of an output."""
    values = (value if isinstance(value, tuple) else (value,) for value in vars(output).values())
    return [one for value in values for one in value if one is not None]


def test_the_installed_entry_points_are_those_of_the_project() -> None:
    """If this fails, install the project again."""
    assert {point.name: point.value for point in entry_points(group=GROUP)} == TARGETS
    assert set(TARGETS) <= set(known_networks())


@pytest.mark.parametrize("name", TARGETS)
def test_a_registered_network_is_built_by_its_name(name: str) -> None:
    arguments = {
        key: list(value) if isinstance(value, tuple) else value for key, value in TINY[name].items()
    }
    network = build(name, {"lr_size": 16, **arguments})
    assert type(network) is type(tiny(name, 16))
    assert network.config == tiny(name, 16).config


@pytest.mark.parametrize("lr_size", [32, 16])
@pytest.mark.parametrize("name", TARGETS)
def test_a_baseline_returns_the_output_of_a_generator(name: str, lr_size: int) -> None:
    network = tiny(name, lr_size).eval()
    assert network.lr_size == network.config.lr_size == lr_size
    with torch.no_grad():
        output = network(faces(lr_size))
    assert output.restored.shape == (2, 3, 128, 128)
    assert output.denoised.shape == output.noise_map.shape == (2, 3, lr_size, lr_size)
    assert output.occlusion.shape == (2, 1, lr_size, lr_size)
    assert output.noise_map.min() >= 0
    assert 0 <= output.occlusion.min() <= output.occlusion.max() <= 1
    for value in tensors(output):
        assert value.dtype == torch.float32
        assert value.isfinite().all()
    assert output.steps == () or torch.equal(output.steps[-1], output.restored)


@pytest.mark.parametrize("name", TARGETS)
def test_gradients_reach_every_parameter(name: str) -> None:
    network = tiny(name, 32).train()
    for part in network.modules():
        if isinstance(part, ChannelAttention):  # whose few hidden units are off in some networks
            nn.init.ones_(part.squeeze.bias)
    sum(value.sum() for value in tensors(network(faces(32)))).backward()
    idle = [
        key
        for key, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert idle == []


@pytest.mark.parametrize("name", TARGETS)
def test_a_network_without_storage_takes_a_state_dict(name: str) -> None:
    trained = tiny(name, 16).eval()
    with torch.device("meta"):
        empty = tiny(name, 16).eval()
    empty.load_state_dict(trained.state_dict(), assign=True)
    with torch.no_grad():
        assert torch.equal(empty(faces(16)).restored, trained(faces(16)).restored)


@pytest.mark.parametrize("name", TARGETS)
def test_half_precision_gives_float32(name: str) -> None:
    network = tiny(name, 16).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(faces(16))
    assert {value.dtype for value in tensors(output)} == {torch.float32}
