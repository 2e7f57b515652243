"""Networks that other installed packages add, by the entry points of the group `jdsr.networks`.

An entry point has the name of the network and refers to a pair: the dataclass of its arguments, and
the module class that takes an instance of it and implements the `Generator` protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from importlib.metadata import EntryPoint, entry_points

from torch import nn

from jdsr_cli.errors import UsageError

GROUP = "jdsr.networks"
"""Group of the entry points."""


def further_networks() -> dict[str, EntryPoint]:
    """Return the entry points of the installed packages by name, sorted; nothing is imported."""
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: point for point in found}


def load_network(point: EntryPoint) -> tuple[type, Callable[..., nn.Module]]:
    """Import the two classes of a network.

    Raises:
        UsageError: The entry point refers to something else, or its import fails.

    """
    try:
        target = point.load()
    except Exception as error:  # code of another package, which can raise any error
        raise UsageError(
            f"network {point.name!r} cannot be imported from {point.value}: {error}",
            hint="Install the package that provides it again.",
        ) from error
    if not (
        isinstance(target, tuple)
        and len(target) == 2
        and all(isinstance(part, type) for part in target)
        and is_dataclass(target[0])
        and issubclass(target[1], nn.Module)
    ):
        raise UsageError(
            f"network {point.name!r}: {point.value} is not a pair of a dataclass and a module",
            hint="Install a version of the package that fits this one.",
        )
    return target
