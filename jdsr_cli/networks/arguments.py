"""Bounds on the arguments of networks, which may come from files that anybody wrote.

Without them a weight file of a few bytes could ask for a network whose construction takes hours or
all memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from jdsr_cli.errors import UsageError
from jdsr_cli.excerpts import brief

LARGEST = 8192
"""Largest number; the networks here have at most 2,048 channels."""
MOST_ENTRIES = 32
"""Most entries of a list, such as the levels of a U-Net."""
MOST_PARAMETERS = 5_000
"""Most parameter tensors of a network; the largest known one has 1,578."""
_SIMPLE = {int: "a whole number", bool: "true or false", str: "a text", float: "a number"}


def check_arguments(network: str, configuration: type, arguments: Mapping[str, object]) -> None:
    """Check names, types and sizes of the arguments of a network.

    Args:
        network: Its name.
        configuration: The dataclass of its arguments; fields whose type is none of those of TOML
            are not checked.
        arguments: Fields of it; lists stand for tuples.

    Raises:
        UsageError: A name is unknown, or a value is of another type or beyond `LARGEST` or
            `MOST_ENTRIES`.

    """
    known = [one.name for one in fields(configuration)]
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise UsageError(
            f"network {network!r} has no argument {brief(unknown[0])}",
            hint=f"Known are {', '.join(known)}.",
        )
    hints = get_type_hints(configuration)
    for name, value in arguments.items():
        fault = _fault(value, hints[name])
        if fault is not None:
            raise UsageError(f"network {network!r}: {name} is {brief(value)}, {fault}")


def _fault(value: object, kind: Any) -> str | None:
    """Return what is wrong with a value for a field of a type; None if nothing is."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in parts:
            return None
        faults = [_fault(value, part) for part in parts if part is not NoneType]
        return None if None in faults else faults[0]
    if origin is Literal:
        return None if type(value) is str and value in parts else f"it can be {_listed(parts)}"
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return "a list is required"
        if len(value) > MOST_ENTRIES:
            return f"it has at most {MOST_ENTRIES} entries"
        return next(filter(None, (_fault(entry, parts[0]) for entry in value)), None)
    if origin is dict or kind is dict:
        return None if isinstance(value, dict) else "a table is required"
    if kind in _SIMPLE:
        whole = kind is float and type(value) is int
        if type(value) is not kind and not whole:
            return f"{_SIMPLE[kind]} is required"
        if kind in (int, float) and not 0 <= value <= LARGEST:  # type: ignore[operator]
            return f"0 to {LARGEST} is required"
    return None


def _listed(values: tuple[object, ...]) -> str:
    return " or ".join(map(repr, values))


@contextmanager
def bounded_parameters(most: int = MOST_PARAMETERS) -> Iterator[None]:
    """Stop the construction of a network in the block that has too many or empty parameters.

    Raises:
        UsageError: It has more than `most` tensors of parameters, or one without values.

    """
    thread, count = threading.get_ident(), 0

    def check(_: nn.Module, __: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        if threading.get_ident() != thread:
            return
        count += 1
        if count > most:
            raise UsageError(f"the network would have more than {most:,} tensors")
        if parameter is not None and 0 in parameter.shape:
            raise UsageError("the network would have a tensor without values")

    register: Callable[..., Any] = register_module_parameter_registration_hook
    handle = register(check)
    try:
        yield
    finally:
        handle.remove()
