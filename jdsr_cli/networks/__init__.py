"""The generators: the network of the paper (`jdsr`), and a small one for CPUs (`lite`, `burst`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from torch import nn

from jdsr_cli.errors import UsageError
from jdsr_cli.networks.burst import BurstConfig, BurstGenerator
from jdsr_cli.networks.generator import JDSRConfig, JDSRGenerator, occlusion_from_noise
from jdsr_cli.networks.layers import ChannelAttention, Generator, GeneratorOutput, ResidualBlock
from jdsr_cli.networks.lite import LiteConfig, LiteGenerator

__all__ = [
    "NETWORKS",
    "BurstConfig",
    "BurstGenerator",
    "ChannelAttention",
    "Generator",
    "GeneratorOutput",
    "JDSRConfig",
    "JDSRGenerator",
    "LiteConfig",
    "LiteGenerator",
    "ResidualBlock",
    "build",
    "occlusion_from_noise",
]

_BUILDERS: dict[str, tuple[Callable[..., Any], Callable[..., nn.Module]]] = {
    "lite": (LiteConfig, LiteGenerator),
    "burst": (BurstConfig, BurstGenerator),
    "jdsr": (JDSRConfig, JDSRGenerator),
}

NETWORKS: tuple[str, ...] = tuple(_BUILDERS)
"""Names of the networks that `build` accepts."""


def build(network: str, arguments: Mapping[str, object]) -> nn.Module:
    """Create a generator with random initial weights.

    Args:
        network: One of `NETWORKS`.
        arguments: Fields of its configuration, as read from TOML or JSON (arrays may be lists);
            omitted ones keep their defaults.

    Returns:
        A module that implements the `Generator` protocol, in training mode, on the default device.

    Raises:
        UsageError: The network or an argument is unknown, or a value is invalid.

    """
    if network not in _BUILDERS:
        raise UsageError(
            f"no network is called {network!r}", hint=f"Known are {', '.join(NETWORKS)}."
        )
    configuration, module = _BUILDERS[network]
    known = [field.name for field in fields(configuration)]  # type: ignore[arg-type]
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise UsageError(
            f"network {network!r} has no argument {unknown[0]!r}",
            hint=f"Known are {', '.join(known)}.",
        )
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in arguments.items()
    }
    try:
        return module(configuration(**values))
    except TypeError as error:
        raise UsageError(
            f"network {network!r} cannot be built from {dict(arguments)}: {error}"
        ) from error
