"""The generators: the network of the paper (`jdsr`), and a small one for CPUs (`lite`, `burst`).

Other packages can add networks (`jdsr_cli.networks.further`); the training code adds those with
which the paper compares its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from jdsr_cli.errors import JdsrError, UsageError
from jdsr_cli.excerpts import brief, first_line
from jdsr_cli.networks.arguments import bounded_parameters, check_arguments
from jdsr_cli.networks.burst import BurstConfig, BurstGenerator
from jdsr_cli.networks.further import further_networks, load_network
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
    "known_networks",
    "occlusion_from_noise",
]

_BUILDERS: dict[str, tuple[type, Callable[..., nn.Module]]] = {
    "lite": (LiteConfig, LiteGenerator),
    "burst": (BurstConfig, BurstGenerator),
    "jdsr": (JDSRConfig, JDSRGenerator),
}

NETWORKS: tuple[str, ...] = tuple(_BUILDERS)
"""Names of the networks of this package."""


def known_networks() -> tuple[str, ...]:
    """Return the names that `build` accepts: `NETWORKS`, then those of other packages."""
    return tuple(dict.fromkeys((*NETWORKS, *further_networks())))


def build(network: str, arguments: Mapping[str, object]) -> nn.Module:
    """Create a generator with random initial weights.

    Args:
        network: One of `known_networks`; a name of `NETWORKS` always means the network here.
        arguments: Fields of its configuration, as read from TOML or JSON (arrays may be lists);
            omitted ones keep their defaults.

    Returns:
        A module that implements the `Generator` protocol, in training mode, on the default device.

    Raises:
        UsageError: The network or an argument is unknown, a value is invalid or out of bounds
            (`jdsr_cli.networks.arguments`), or the network of another package cannot be imported.

    """
    configuration, module = _builder(network)
    check_arguments(network, configuration, arguments)
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in arguments.items()
    }
    try:
        with bounded_parameters():
            return module(configuration(**values))
    except JdsrError:
        raise
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise UsageError(
            f"network {network!r} cannot be built from {brief(dict(arguments))}: "
            f"{first_line(error)}"
        ) from error


def _builder(network: str) -> tuple[type, Callable[..., nn.Module]]:
    """Return the classes of the configuration and of the module of a network."""
    if network in _BUILDERS:
        return _BUILDERS[network]
    further = further_networks()
    if network not in further:
        raise UsageError(
            f"no network is called {brief(network)}",
            hint=f"Known are {', '.join(known_networks())}.",
        )
    return load_network(further[network])
