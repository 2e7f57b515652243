"""Options of the command line, derived from settings classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from jdsr_cli.settings import Declared, Settings, build, in_order, read_config

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Videos, images, folders of them, quoted globs, or sequences such as shot_%05d.png.",
    ),
]
CONTEXT = "context"
"""Parameter through which typer passes the state of the command line."""


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter of a command that is a settings class by the options of that class.

    The command is called with settings that were made from the options. With an option
    ``--config``, the values of that file apply where an option is not given.

    Args:
        command: Function whose parameters are settings classes and typer arguments.

    Returns:
        A function that `typer.Typer.command` can register.

    """
    hints = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters
    kinds = {
        name: hints[name]
        for name in own
        if isinstance(hints[name], type) and issubclass(hints[name], Settings)
    }
    options = in_order(*kinds.values())

    @wraps(command)
    def run(**given: Any) -> None:
        context: typer.Context = given.pop(CONTEXT)
        values = {one.field: _value(one, given.pop(one.field)) for one in options}
        if values.get("config") is not None:
            stated = read_config(values["config"], *kinds.values())
            values |= {name: value for name, value in stated.items() if _defaulted(context, name)}
        return command(**given, **{name: build(kind, values) for name, kind in kinds.items()})

    arguments = [
        parameter.replace(annotation=hints[name])
        for name, parameter in own.items()
        if name not in kinds
    ]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(CONTEXT, keyword, annotation=typer.Context),
        *(parameter.replace(kind=keyword) for parameter in arguments),
        *(_parameter(one) for one in options),
    ]
    signature = inspect.Signature(parameters, return_annotation=None)
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _defaulted(context: typer.Context, name: str) -> bool:
    """Whether an option was given neither on the command line nor by the environment."""
    source = context.get_parameter_source(name)
    return source is None or source.name in ("DEFAULT", "DEFAULT_MAP")


def _parameter(one: Declared) -> inspect.Parameter:
    option = one.option
    name = f"{one.flag}/--no-{one.key}" if option.negatable else one.flag
    names = [name] if option.short is None else [name, option.short]
    limits = {}
    if one.kind in (int, float) and option.note is None:
        # Otherwise the settings refuse the value, since typer would not show the note.
        limits = {"min": option.low, "max": option.high}
    described = typer.Option(
        *names,
        help=option.help,
        metavar=option.metavar,
        envvar=option.variable,
        show_default=option.unset if option.unset is not None else True,
        **limits,  # type: ignore[arg-type]
    )
    kind = _type(one)
    return inspect.Parameter(
        one.field,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if one.default is MISSING else _default(one, kind),
        annotation=Annotated[kind | None if one.optional else kind, described],
    )


def _type(one: Declared) -> Any:
    """Return the type by which typer reads an option; what has a parser is read as text."""
    if one.option.repeated:
        return list[str]
    if one.option.parse is not None:
        return str
    if get_origin(one.kind) is Literal:
        return StrEnum(f"{one.field.title()}Choice", {name: name for name in get_args(one.kind)})
    return one.kind


def _default(one: Declared, kind: Any) -> Any:
    if one.default is None or one.kind in (bool, int, float, str, Path):
        return one.default
    if one.option.repeated:
        return list(one.default)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(one.default)
    return one.text(one.default) or None


def _value(one: Declared, given: Any) -> Any:
    """Return what typer read in the declared type."""
    if isinstance(given, StrEnum):
        given = given.value
    if given is None and isinstance(one.default, tuple):
        return one.default
    return one.convert(given)
