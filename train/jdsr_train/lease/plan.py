"""The plan of a lease, and its calls with their limits.

A plan is a TOML file that lists the generators to train in order, their inputs and their shares of
the time; train/gpu/plans has examples. For an unknown key the error states the nearest one.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jdsr_cli.errors import InputMissingError, UsageError
from jdsr_cli.toml_files import read_toml
from jdsr_train.lease.files import MIB
from jdsr_train.recipe_files import build_table

INPUTS = ("masks", "features", "parsing")
"""Inputs of a model besides the faces; each is an option of `jdsr train`."""
STAGES = {"parser": ("parsing",), "identity": ("faces",)}
"""Preliminary stages of a model, and the inputs that they need."""
SECONDS_LEFT = "SECONDS_LEFT"
"""Placeholder in printed commands: the remaining seconds of the lease minus a minute."""
COMMAND = "PYTHONPATH=train python3 -m jdsr_train.lease"
WATCH_SECONDS = 560
"""Longest wait of a `watch` call, in seconds."""
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class PlannedModel:
    """A generator of a plan, trained by one `jdsr train`."""

    recipe: str
    """Name of a recipe, or a recipe file beside the plan."""
    name: str = ""
    """Name of the folder of its run; by default the recipe's name."""
    share: float = 1.0
    """Share of the time, relative to the shares of the models that are not trained yet."""
    uses: tuple[str, ...] = ()
    """Inputs besides the faces: `masks`, `features`, `parsing`."""
    init: str | None = None
    """Weights to start from: an earlier model of the plan, or the name of a weight file."""
    reuse: str | None = None
    """Earlier model whose parser and identity network are reused."""
    first: tuple[str, ...] = ()
    """Preliminary stages, run as soon as their inputs are complete; `parser` needs no faces."""
    export_every: float = 60.0
    """Seconds between exports during the training, which can be retrieved before its end."""
    options: tuple[str, ...] = ()
    """Further arguments of `jdsr train`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or Path(self.recipe).stem)
        if not _NAME.fullmatch(self.name) or self.name.startswith("."):
            raise UsageError(
                f"{self.name!r} cannot be a model's name", hint="Use letters, digits, - and _"
            )
        if not self.share > 0 or not self.export_every >= 1:
            raise UsageError("must be positive, export_every at least 1", where="share")
        _check_known("uses", self.uses, INPUTS)
        _check_known("first", self.first, tuple(STAGES))

    @property
    def inputs(self) -> tuple[str, ...]:
        """All inputs of the model."""
        return ("faces", *self.uses)


@dataclass(frozen=True)
class Plan:
    """The models that are trained on a leased machine."""

    models: tuple[PlannedModel, ...]
    """In the order in which they are trained."""
    reserve: float = 150.0
    """Seconds at the end for retrieving the last model, without training."""
    first_seconds: float = 240.0
    """Longest time of each preliminary stage."""
    weights: tuple[str, ...] = ()
    """Further weight files, for example those with which trained ones are compared."""
    workers: int | None = None
    """Processes that prepare samples; by default the number of cores minus one."""
    command: tuple[str, ...] = ()
    """Command to run instead of `jdsr`."""

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("no [[model]]", hint="A plan needs at least one")
        if self.reserve < 0 or self.first_seconds < 1 or (self.workers or 0) < 0:
            raise UsageError("must not be negative", where="reserve, first_seconds, workers")
        for key in ("name", "recipe"):
            values = [getattr(model, key) for model in self.models]
            duplicate = next((one for one in values if values.count(one) > 1), None)
            if duplicate is not None:
                raise UsageError(f"{duplicate!r} occurs twice", where=key)
        for index, model in enumerate(self.models):
            earlier = [one.name for one in self.models[:index]]
            if model.reuse is not None and model.reuse not in earlier:
                raise UsageError(
                    f"{model.reuse!r} is not a model before {model.name}",
                    where="reuse",
                    hint=f"Models before it: {', '.join(earlier) or 'none'}",
                )
            later = [one.name for one in self.models[index:]]
            if model.init in later:
                raise UsageError(f"{model.init!r} is trained later", where=f"init of {model.name}")

    def from_model(self, model: PlannedModel) -> str | None:
        """Return the model of the plan from which a model starts; None if there is none."""
        return model.init if model.init in [one.name for one in self.models] else None

    @property
    def needed_weights(self) -> tuple[str, ...]:
        """Names of the required weight files, each once."""
        inits = [one.init for one in self.models if one.init and not self.from_model(one)]
        return tuple(dict.fromkeys([*inits, *self.weights]))

    @property
    def needed_inputs(self) -> tuple[str, ...]:
        """Inputs that any model uses, including the faces."""
        return ("faces", *(kind for kind in INPUTS if any(kind in m.uses for m in self.models)))

    @property
    def command_line(self) -> tuple[str, ...]:
        """The training command without its arguments."""
        return self.command or (sys.executable, "-m", "jdsr_cli")


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        InputMissingError: The file does not exist.
        UsageError: It is not TOML, or has an unknown key or a value that is not allowed.

    """
    try:
        values = read_toml(path)
    except FileNotFoundError as error:
        raise InputMissingError(
            "no such plan", where=path, hint="Plans are in train/gpu/plans"
        ) from error
    except (ValueError, OSError) as error:
        raise UsageError(f"not readable as TOML ({error})", where=path) from error
    models = values.pop("model", [])
    if not isinstance(models, list) or not all(isinstance(one, dict) for one in models):
        raise UsageError("models are tables [[model]]", where=path)
    planned = [
        build_table(PlannedModel, one, f"{path.name}: [[model]] {n}")
        for n, one in enumerate(models, 1)
    ]
    if "models" in values:
        raise UsageError("unknown key 'models'", where=path, hint="Nearest: [[model]]")
    return build_table(Plan, {**values, "models": tuple(planned)}, path.name)


def to_toml(plan: Plan) -> str:
    """Return the text of a plan file that `read_plan` reads as the same plan."""
    import tomli_w  # here, since only rehearsals need it: leased machines may not have it

    values = {key: value for key, value in asdict(plan).items() if value is not None}
    models = values.pop("models")
    values["model"] = [{k: v for k, v in one.items() if v is not None} for one in models]
    return tomli_w.dumps(values)


def _check_known(key: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    for one in given:
        if one not in known:
            nearest = difflib.get_close_matches(one, known, 1, 0.0)
            raise UsageError(f"unknown {one!r}", where=key, hint=f"Nearest: {nearest[0]}")


PIECE_SHARE = 0.99
"""Size of a piece as a share of the largest file, as a margin."""
OVERHEAD_MIB = 2.0
"""Size reserved in a call for logs and the JSON files of bundles."""


@dataclass(frozen=True)
class Limits:
    """The limits of one call to a leased machine."""

    call_mib: float = 64.0
    """Size of the working tree and the carried files."""
    files: int = 8
    """Number of returned files."""
    file_mib: float = 16.0
    """Size of a returned file."""
    total_mib: float = 64.0
    """Size of all returned files."""
    seconds: int = 600
    """Time of a command."""
    characters: int = 2000
    """Length of a command."""
    carried: int = 8
    """Number of carried paths."""

    def __post_init__(self) -> None:
        if min(self.call_mib, self.file_mib, self.total_mib - OVERHEAD_MIB) <= 0:
            raise UsageError(f"limits in MiB must be positive, --total-mib above {OVERHEAD_MIB:g}")
        if self.files < 3:
            raise UsageError(
                f"{self.files} files are too few",
                where="--files",
                hint="A piece, its bundle's JSON file and the logs are three",
            )

    @property
    def piece(self) -> int:
        """Size of a piece in bytes: slightly below the limits, with space for the logs."""
        return int(min(PIECE_SHARE * self.file_mib, self.total_mib - OVERHEAD_MIB) * MIB)

    @property
    def options(self) -> list[str]:
        """The options of `watch` for these limits."""
        return [
            f"--files={self.files}",
            f"--file-mib={self.file_mib:g}",
            f"--total-mib={self.total_mib:g}",
        ]


@dataclass(frozen=True)
class Call:
    """A call to the leased machine."""

    command: str
    carry: tuple[str, ...]
    timeout: int

    def description(self) -> str:
        """Return the call as text."""
        return f"carry {', '.join(self.carry)}; timeout {self.timeout} s\n    {self.command}"


def upload_calls(into: str, parts: int, seconds: str = SECONDS_LEFT) -> list[Call]:
    """Return the calls that send all parts; the first one starts the plan.

    Args:
        into: The staging folder.
        parts: Number of parts.
        seconds: Remaining seconds of the lease.

    """
    return [
        Call(
            f"{COMMAND} take {part} --lease {into} && {COMMAND} start {seconds}",
            (f"{into}/common", f"{into}/part-{part}"),
            240 if part == 1 else 120,
        )
        for part in range(1, parts + 1)
    ]


def watch_call(into: str, seconds: int, options: Sequence[str] = ()) -> Call:
    """Return the call that waits for a model and retrieves it."""
    command = " ".join([COMMAND, "watch", str(seconds), *options])
    return Call(command, (f"{into}/common",), seconds + 30)


def format_calls(into: str, parts: int, tree_mib: float) -> str:
    """Return all calls of a lease as text."""
    lines = [f"The calls in order ({tree_mib:.1f} MiB of checkout in each):"]
    calls = [
        *upload_calls(into, parts),
        watch_call(into, WATCH_SECONDS),
        watch_call(into, 420, ["--midway"]),
    ]
    lines += [f"{number}. {call.description()}" for number, call in enumerate(calls, 1)]
    lines += [
        f"{SECONDS_LEFT}: the remaining seconds of the lease minus 60 for the call; a later value "
        "replaces an earlier one.",
        "Repeat `watch` until all models are retrieved. After each call, run at once:",
        "    PYTHONPATH=train python3 -m jdsr_train.lease join FILES_AT TARGET",
        f"Then end the lease and run: {COMMAND} unstage --remove",
    ]
    return "\n".join(lines)
