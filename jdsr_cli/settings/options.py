"""What an option is: the metadata of a settings field, and the checks that follow from it.

A settings class is a frozen dataclass whose fields are annotated with an `Option`. The command
line, configuration files and the documentation read the declaration with `declared`; the class
itself checks and converts its values with it, so that all of them accept the same values.

Plain dataclasses, since `import pydantic` alone takes as long as half of ``jdsr --help``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields, replace
from fractions import Fraction
from functools import reduce
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)  # fmt: skip

from jdsr_cli.errors import UsageError

GROUPS = ("results", "watching", "faces", "reading", "encoding", "run", "command")
"""Groups of options in the order in which help and documentation show them."""


@dataclass(frozen=True)
class Option:
    """What is known about an option besides its type and its default.

    Attributes:
        help: One or two sentences for the command line and the documentation.
        group: One of `GROUPS`.
        name: Long name without dashes; None for the name of the field.
        short: Short name, such as ``-o``.
        metavar: Placeholder of the value in the help.
        unit: Unit of the value.
        low: Smallest value.
        above: Value that must be exceeded.
        high: Largest value.
        step: The value is a multiple of this.
        choices: Allowed values of a number; those of a text are a `Literal`.
        parse: Converts text to the value; raises ValueError. Of options whose value is a tuple it
            takes a sequence as well. A tuple without it is given as several values, one for each
            item: ``--sign CERT KEY``, and a list in a configuration file.
        form: The text that `parse` accepts, in words.
        note: A sentence that is added to the hint of an error.
        repeated: Whether the option can be given several times; the value is a tuple of tuples.
        unset: What applies where the value is None.
        negatable: Whether there is a ``--no-NAME`` as well.
        affects_result: Whether the value can change a byte of a result.
        recorded: Whether the value is written into manifests and reports.
        variable: Environment variable that is read where the option is not given.
        on_command_line: Whether it can be given to a command; otherwise it belongs to the library.

    """

    help: str
    group: str = "run"
    name: str | None = None
    short: str | None = None
    metavar: str | None = None
    unit: str | None = None
    low: float | None = None
    above: float | None = None
    high: float | None = None
    step: int | None = None
    choices: tuple[int, ...] = ()
    parse: Callable[[Any], Any] | None = None
    form: str | None = None
    note: str | None = None
    repeated: bool = False
    unset: str | None = None
    negatable: bool = False
    affects_result: bool = True
    recorded: bool = True
    variable: str | None = None
    on_command_line: bool = True


@dataclass(frozen=True)
class Declared:
    """An option as a settings class declares it."""

    path: tuple[str, ...]
    """Names of the fields that lead to it, such as ``("reading", "start")``."""
    kind: Any
    """Type of the value where it is not None; of one value where it can be repeated."""
    option: Option
    default: Any
    """`dataclasses.MISSING` where a value must be given."""
    optional: bool
    """Whether the value can be None."""

    @property
    def field(self) -> str:
        """Name of the field."""
        return self.path[-1]

    @property
    def key(self) -> str:
        """Long name without dashes in front, as in a configuration file."""
        return self.option.name or self.field.replace("_", "-")

    @property
    def flag(self) -> str:
        """What an error calls it: the option, or the field where there is no option."""
        return f"--{self.key}" if self.option.on_command_line else self.field

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is MISSING

    @property
    def choices(self) -> tuple[Any, ...]:
        """Allowed values; empty where they are not listed."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else self.option.choices

    @property
    def range(self) -> str:
        """Allowed numbers in words; empty where there is no limit."""
        option = self.option
        parts = []
        if option.low is not None and option.high is not None:
            parts.append(f"{option.low:g} to {option.high:g}")
        elif option.low is not None:
            parts.append(f"at least {option.low:g}")
        if option.above is not None:
            parts.append(f"above {option.above:g}")
            if option.high is not None:
                parts.append(f"up to {option.high:g}")
        if option.step is not None:
            parts.append(f"a multiple of {option.step}")
        return ", ".join(parts)

    @property
    def allowed(self) -> str:
        """Allowed values in words."""
        if self.choices:
            *most, last = map(str, self.choices)
            return f"{', '.join(most)} or {last}" if most else last
        form = self.option.form or _NOUNS.get(self.kind, "text")
        unit = f" ({self.option.unit})" if self.option.unit and self.range else ""
        return ", ".join(filter(None, (form, self.range))) + unit

    def convert(self, value: Any, where: str | None = None) -> Any:
        """Return `value` in the declared type.

        Args:
            value: From a caller, a configuration file or, where the option has a parser, a text.
            where: What an error names; default: the option.

        Raises:
            UsageError: The value is of another type, out of range or not among the choices.

        """
        if value is None and self.optional:
            return None
        if self.option.repeated:
            items = value if isinstance(value, list | tuple) else [value]
            return tuple(self._checked(item, where) for item in items)
        return self._checked(value, where)

    def _checked(self, value: Any, where: str | None) -> Any:
        try:
            return self._converted(value)
        except (ValueError, TypeError, ArithmeticError) as error:
            shown = repr(value) if isinstance(value, str) else self.text(value)
            raise UsageError(
                f"{shown} is not allowed",
                where=where or self.flag,
                hint=" ".join(filter(None, (f"Give {self.allowed}.", self.option.note))),
            ) from error

    def _converted(self, value: Any) -> Any:
        parse = self.option.parse
        if get_origin(self.kind) is tuple:
            return self._converted_items(value) if parse is None else parse(value)
        if parse is not None and isinstance(value, str):
            value = parse(value)
            if value is None and self.optional:
                return None
        if self.choices:
            known = not isinstance(value, bool) and value in self.choices
        elif self.kind in (int, float, Fraction):
            value = _number(value, self.kind)
            known = self._in_range(value)
        elif self.kind is Path:
            value, known = Path(value), True
        else:
            known = isinstance(value, self.kind)
        if not known:
            raise ValueError(value)
        return value

    def _converted_items(self, value: Any) -> tuple[Any, ...]:
        """Convert each item of a value that is given as several."""
        kinds = get_args(self.kind)
        if isinstance(value, str) or len(value) != len(kinds):
            raise ValueError(value)
        return tuple(kind(item) for kind, item in zip(kinds, value, strict=True))

    def _in_range(self, value: Any) -> bool:
        option = self.option
        return (
            math.isfinite(value)
            and (option.low is None or value >= option.low)
            and (option.above is None or value > option.above)
            and (option.high is None or value <= option.high)
            and (option.step is None or value % option.step == 0)
        )

    def text(self, value: Any) -> str:
        """Return `value` as it would be typed."""
        if isinstance(value, tuple):
            return ",".join(map(self.text, value))
        return str(_plain(value))


_TYPES = {int: "integer", float: "number", bool: "flag", str: "text", Path: "path"}
_NOUNS = {int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}


def _number(value: Any, kind: type) -> Any:
    if isinstance(value, bool) or not isinstance(value, Integral if kind is int else Real):
        raise ValueError
    if kind is Fraction and isinstance(value, float):
        return Fraction(repr(value))
    return value if isinstance(value, kind) else kind(value)


def _plain(value: Any) -> Any:
    return f"{float(value):g}" if isinstance(value, Fraction) else value


@dataclass(frozen=True)
class Settings:
    """Base of settings classes: checks and converts every value when it is made.

    Raises:
        UsageError: A value is of another type, out of range or not among the choices; the error
            names the option.

    """

    def __post_init__(self) -> None:
        for one in declared(type(self)):
            if len(one.path) == 1:
                value = getattr(self, one.field)
                converted = one.convert(value)
                if converted is not value:
                    object.__setattr__(self, one.field, converted)

    def recorded(self) -> dict[str, Any]:
        """Return all values, nested ones included, except those that are not recorded."""
        values = asdict(self)
        for one in declared(type(self)):
            if not one.option.recorded:
                *outer, last = one.path
                reduce(dict.__getitem__, outer, values).pop(last)
        return values


AnySettings = TypeVar("AnySettings", bound=Settings)


_DECLARED: dict[type[Settings], tuple[Declared, ...]] = {}


def declared(kind: type[Settings]) -> tuple[Declared, ...]:
    """Return the options of a settings class and of those nested in it, in their order."""
    if kind not in _DECLARED:
        _DECLARED[kind] = _find_options(kind)
    return _DECLARED[kind]


def _find_options(kind: type[Settings]) -> tuple[Declared, ...]:
    hints = get_type_hints(kind, include_extras=True)
    found: list[Declared] = []
    for field in fields(kind):
        hint = hints[field.name]
        if isinstance(hint, type) and issubclass(hint, Settings):
            found += [replace(one, path=(field.name, *one.path)) for one in declared(hint)]
        elif get_origin(hint) is Annotated:
            found.append(_declare(field, hint))
    return tuple(found)


def _declare(field: Field[Any], hint: Any) -> Declared:
    kind, *extras = get_args(hint)
    option = next(one for one in extras if isinstance(one, Option))
    optional = get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind)
    if optional:
        kind = next(one for one in get_args(kind) if one is not NoneType)
    return Declared((field.name,), kind, option, field.default, optional)


def build(kind: type[AnySettings], values: Mapping[str, Any]) -> AnySettings:
    """Make settings, nested ones included, from the values of options by the names of fields.

    Raises:
        UsageError: A value is not allowed.

    """
    hints = get_type_hints(kind)
    given: dict[str, Any] = {}
    for field in fields(kind):
        hint = hints[field.name]
        if isinstance(hint, type) and issubclass(hint, Settings):
            given[field.name] = build(hint, values)
        elif field.name in values:
            given[field.name] = values[field.name]
    return kind(**given)


class OptionRow(NamedTuple):
    """An option as the documentation shows it; what does not apply is empty."""

    option: str
    type: str
    default: str
    range: str
    unit: str
    help: str


def option_rows(*kinds: type[Settings]) -> list[OptionRow]:
    """Describe the options of settings classes, in the order in which the help shows them."""
    return [_row(one) for one in in_order(*kinds)]


def in_order(*kinds: type[Settings]) -> list[Declared]:
    """Return the options of settings classes that a command has, in the order of the help."""
    shown = [one for kind in kinds for one in declared(kind) if one.option.on_command_line]
    return sorted(shown, key=lambda one: (not one.required, GROUPS.index(one.option.group)))


def _row(one: Declared) -> OptionRow:
    option = one.option
    name = f"{one.flag}, --no-{one.key}" if option.negatable else one.flag
    default = option.unset or ""
    if one.required:
        default = "required"
    elif one.default not in (None, ()):
        default = str(one.default).lower() if one.kind is bool else one.text(one.default)
    return OptionRow(
        option=f"{option.short}, {name}" if option.short else name,
        type=option.metavar or "|".join(map(str, one.choices)) or _TYPES.get(one.kind, ""),
        default=default,
        range=one.range,
        unit=option.unit or "",
        help=option.help,
    )
