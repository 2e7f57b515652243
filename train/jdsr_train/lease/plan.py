"""The plan of a lease, and the limits of its calls.

A plan is a TOML file that lists the generators to train in order, their inputs and their shares of
the time; train/gpu/plans has examples. An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from jdsr_cli.errors import InputMissingError, UsageError
from jdsr_train.lease.files import MIB

INPUTS = ("masks", "features", "parsing")
"""What a model may use besides the faces; each is an option of `jdsr train` of that name."""
STAGES = {"parser": ("parsing",), "identity": ("faces",)}
"""Stages that may run before a model's own command, and the inputs that they wait for."""
_NAME = re.compile(r"[A-Za-z0-9._-]+")

T = TypeVar("T")


@dataclass(frozen=True)
class PlannedModel:
    """A generator of the plan: one `jdsr train`."""

    recipe: str
    """Name of a recipe, or a recipe file beside the plan."""
    name: str = ""
    """Folder of its run; the recipe's name where it is not given."""
    share: float = 1.0
    """Of the time, in proportion to the shares of the models that are still to come."""
    uses: tuple[str, ...] = ()
    """Inputs besides the faces: `masks`, `features`, `parsing`."""
    init: str | None = None
    """Weights to start from: an earlier model of the plan, or the name of a weight file."""
    reuse: str | None = None
    """Earlier model whose parser and identity network are taken over."""
    first: tuple[str, ...] = ()
    """Stages that run before, each as soon as its own inputs are there: `parser` needs no faces."""
    export_every: float = 60.0
    """Seconds between exports beside the training; they are what can be brought home midway."""
    options: tuple[str, ...] = ()
    """More words for `jdsr train`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or Path(self.recipe).stem)
        if not _NAME.fullmatch(self.name) or self.name.startswith("."):
            raise UsageError(
                f"{self.name!r} cannot be a model's name", hint="Use letters, digits, - and _"
            )
        if not self.share > 0 or not self.export_every >= 1:
            raise UsageError("must be positive, export_every at least 1", where="share")
        _known("uses", self.uses, INPUTS)
        _known("first", self.first, tuple(STAGES))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Everything that it waits for."""
        return ("faces", *self.uses)


@dataclass(frozen=True)
class Plan:
    """What is done on the machine."""

    models: tuple[PlannedModel, ...]
    """In the order in which they are trained."""
    reserve: float = 150.0
    """Seconds at the end that no training gets: they bring the last model home."""
    first_seconds: float = 240.0
    """Most time of each stage that runs before a model."""
    weights: tuple[str, ...] = ()
    """More weight files that must be there, such as those that trained ones are compared with."""
    workers: int | None = None
    """Processes that make samples; the machine's cores less one where it is not given."""
    command: tuple[str, ...] = ()
    """What is run instead of this package's own `jdsr`."""

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("no [[model]]", hint="A plan trains one at least")
        if self.reserve < 0 or self.first_seconds < 1 or (self.workers or 0) < 0:
            raise UsageError("must not be negative", where="reserve, first_seconds, workers")
        for key in ("name", "recipe"):
            values = [getattr(model, key) for model in self.models]
            twice = next((one for one in values if values.count(one) > 1), None)
            if twice is not None:
                raise UsageError(f"{twice!r} stands there twice", where=key)
        for place, model in enumerate(self.models):
            earlier = [one.name for one in self.models[:place]]
            if model.reuse is not None and model.reuse not in earlier:
                raise UsageError(
                    f"{model.reuse!r} is no model before {model.name}",
                    where="reuse",
                    hint=f"Models before it: {', '.join(earlier) or 'none'}",
                )
            later = [one.name for one in self.models[place:]]
            if model.init in later:
                raise UsageError(f"{model.init!r} is trained later", where=f"init of {model.name}")

    def from_model(self, model: PlannedModel) -> str | None:
        """Return the earlier model that a model starts from, None where it is none of the plan."""
        return model.init if model.init in [one.name for one in self.models] else None

    @property
    def needed_weights(self) -> tuple[str, ...]:
        """Names of the weight files that must be brought, each once."""
        inits = [one.init for one in self.models if one.init and not self.from_model(one)]
        return tuple(dict.fromkeys([*inits, *self.weights]))

    @property
    def needed_inputs(self) -> tuple[str, ...]:
        """Inputs that some model uses, the faces too."""
        return ("faces", *(kind for kind in INPUTS if any(kind in m.uses for m in self.models)))

    @property
    def words(self) -> tuple[str, ...]:
        """The command that trains, without its arguments."""
        return self.command or (sys.executable, "-m", "jdsr_cli")


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        InputMissingError: There is no such file.
        UsageError: It is not TOML, has an unknown key, or a value that cannot work.

    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputMissingError(
            "no such plan", where=path, hint="Plans are in train/gpu/plans"
        ) from error
    except (ValueError, OSError) as error:
        raise UsageError(f"not readable as TOML ({error})", where=path) from error
    models = values.pop("model", [])
    if not isinstance(models, list) or not all(isinstance(one, dict) for one in models):
        raise UsageError("models are tables [[model]]", where=path)
    made = [
        _build(PlannedModel, one, f"{path.name}: [[model]] {n}") for n, one in enumerate(models, 1)
    ]
    if "models" in values:
        raise UsageError("unknown key 'models'", where=path, hint="Nearest: [[model]]")
    return _build(Plan, {**values, "models": made}, path.name)


def to_toml(plan: Plan) -> str:
    """Return the text of a plan that `read` reads as the same."""
    tables: list[tuple[str, Plan | PlannedModel]] = [("", plan)]
    tables += [("[[model]]", model) for model in plan.models]
    lines = []
    for title, table in tables:
        lines += ["", title] if title else []
        for field in fields(table):
            value = getattr(table, field.name)
            if field.name != "models" and value is not None:
                lines.append(f"{field.name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def _build(kind: type[T], values: dict[str, Any], where: str) -> T:
    hints = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    ready = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, 1, 0.0)
            raise UsageError(f"unknown key {key!r}", where=where, hint=f"Nearest: {near[0]}")
        ready[key] = _convert(hints[key], value, f"{where}: {key}")
    required = [f.name for f in fields(kind) if f.default is MISSING]  # type: ignore[arg-type]
    missing = next((key for key in required if key not in ready), None)
    if missing is not None:
        raise UsageError(f"lacks the key {missing!r}", where=where)
    try:
        return kind(**ready)
    except UsageError as fault:
        place = where if fault.where is None else f"{where}: {fault.where}"
        raise UsageError(fault.what, where=place, hint=fault.hint) from fault


def _convert(hint: str, value: Any, where: str) -> Any:
    if hint.startswith("tuple[Model"):
        return tuple(value)
    if hint.startswith("tuple[str"):
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise UsageError("a list of words is needed", where=where)
        return tuple(value)
    kinds = {"float": (int, float), "int": (int,), "str": (str,)}[hint.split(" ")[0]]
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise UsageError(f"{value!r} is not of type {hint.split(' ')[0]}", where=where)
    return float(value) if hint.startswith("float") else value


def _known(key: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    for one in given:
        if one not in known:
            near = difflib.get_close_matches(one, known, 1, 0.0)
            raise UsageError(f"unknown {one!r}", where=key, hint=f"Nearest: {near[0]}")


SAFE = 0.99
"""Share of the largest file that a piece takes: whether the limit itself passes is not known."""
ROOM_MIB = 2.0
"""Of a call, for logs and what describes the pieces."""


@dataclass(frozen=True)
class Limits:
    """Of one call."""

    call_mib: float = 64.0
    """The working tree and everything that is carried."""
    files: int = 8
    """Files that come back."""
    file_mib: float = 16.0
    """Size of one of them."""
    total_mib: float = 64.0
    """Size of all of them."""
    seconds: int = 600
    """Time of a command."""
    characters: int = 2000
    """Length of a command."""
    carried: int = 8
    """Paths that are named to be carried."""

    def __post_init__(self) -> None:
        if min(self.call_mib, self.file_mib, self.total_mib - ROOM_MIB) <= 0:
            raise UsageError(f"limits in MiB must be positive, --total-mib above {ROOM_MIB:g}")
        if self.files < 3:
            raise UsageError(
                f"{self.files} files are too few",
                where="--files",
                hint="A piece, what describes it, and the logs are three",
            )

    @property
    def piece(self) -> int:
        """Bytes of a piece: a little less than may come back, logs left room for."""
        return int(min(SAFE * self.file_mib, self.total_mib - ROOM_MIB) * MIB)

    @property
    def options(self) -> list[str]:
        """Words that tell `watch` what may come back."""
        return [
            f"--files={self.files}",
            f"--file-mib={self.file_mib:g}",
            f"--total-mib={self.total_mib:g}",
        ]
