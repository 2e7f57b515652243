"""Reports of measurements: rows of figures with their conditions, as JSON, and their comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from jdsr_cli.atomic import atomic_file
from jdsr_cli.benchmarking.hardware import describe_machine
from jdsr_cli.errors import InputMissingError, InputUnreadableError, UsageError
from jdsr_cli.evidence import package_versions

FORMAT = "jdsr-bench"
VERSION = 1
"""Version of the JSON format; increased when the meaning of a field changes."""
DIGITS = 6
"""Significant digits that are stored."""


@dataclass(frozen=True)
class Figure:
    """A quantity that was measured several times."""

    median: float
    low: float
    high: float
    values: tuple[float, ...]
    """Every measurement, in their order."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Return the figure of at least one measurement."""
        kept = tuple(_rounded(value) for value in values)
        return cls(_rounded(median(kept)), min(kept), max(kept), kept)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


@dataclass(frozen=True)
class MeasuredRow:
    """What was measured under one set of conditions."""

    name: str
    conditions: Mapping[str, Any]
    """What distinguishes the row from others of the report."""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    unavailable: str | None = None
    """Why nothing could be measured."""


@dataclass(frozen=True)
class BenchReport:
    """The result of one command."""

    kind: str
    """``generator``, ``detector`` or ``pipeline``."""
    conditions: Mapping[str, Any]
    """What all rows have in common, such as the settings."""
    rows: tuple[MeasuredRow, ...]
    machine: Mapping[str, Any] = field(default_factory=describe_machine)
    versions: Mapping[str, str] = field(default_factory=package_versions)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """Time of the measurement, UTC."""

    def write(self, path: Path) -> None:
        """Write the report as JSON.

        Raises:
            OutputError: The file cannot be written.

        """
        content = {"format": FORMAT, "version": VERSION, **asdict(self)}
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=str)
        with atomic_file(path) as partial:
            partial.write_text(text + "\n", encoding="utf-8")


def read_report(path: Path) -> BenchReport:
    """Read a report that `BenchReport.write` wrote.

    Raises:
        InputMissingError: There is no such file.
        InputUnreadableError: The file is not such a report, or one of another version.

    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputMissingError("no such file", where=path, hint="Check the path.") from error
    except OSError as error:
        raise InputUnreadableError(f"cannot be read ({error.strerror})", where=path) from error
    except ValueError as error:
        raise _not_a_report(path) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _not_a_report(path)
    if content.get("version") != VERSION:
        raise InputUnreadableError(
            f"is a report of version {content.get('version')}, not {VERSION}",
            where=path,
            hint="Measure again with this version of jdsr.",
        )
    try:
        return _parse(content)
    except (KeyError, TypeError, ValueError) as error:
        raise _not_a_report(path) from error


def _not_a_report(path: Path) -> InputUnreadableError:
    hint = "Give a file that `jdsr bench ... --json` wrote."
    return InputUnreadableError("is not a report of jdsr bench", where=path, hint=hint)


def _parse(content: dict[str, Any]) -> BenchReport:
    rows = tuple(
        MeasuredRow(
            row["name"],
            dict(row["conditions"]),
            {name: _parse_figure(one) for name, one in row["figures"].items()},
            row["unavailable"],
        )
        for row in content["rows"]
    )
    return BenchReport(
        content["kind"], dict(content["conditions"]), rows, dict(content["machine"]),
        dict(content["versions"]), content["created"],
    )  # fmt: skip


def _parse_figure(given: Mapping[str, Any]) -> Figure:
    middle, low, high = (float(given[name]) for name in ("median", "low", "high"))
    return Figure(middle, low, high, tuple(float(value) for value in given["values"]))


@dataclass(frozen=True)
class RowRatios:
    """The figures of a row relative to those of the same row in another report."""

    name: str
    ratios: Mapping[str, float | None]
    """Median here divided by the median there; None where that is 0."""


@dataclass(frozen=True)
class ReportComparison:
    """A report relative to an earlier one."""

    rows: tuple[RowRatios, ...]
    differences: tuple[str, ...]
    """The conditions that differ, as `what: there -> here`."""


def compare_reports(here: BenchReport, there: BenchReport) -> ReportComparison:
    """Compare the rows that both reports have.

    Raises:
        UsageError: The reports are of different kinds.

    """
    if here.kind != there.kind:
        raise UsageError(
            f"a report of {there.kind} cannot be compared with one of {here.kind}",
            where="--baseline",
            hint=f"Give a report of `jdsr bench {here.kind}`.",
        )
    earlier = {row.name: row for row in there.rows}
    rows = tuple(_ratios(row, earlier[row.name]) for row in here.rows if row.name in earlier)
    return ReportComparison(rows, tuple(_differences(here, there)))


def _ratios(here: MeasuredRow, there: MeasuredRow) -> RowRatios:
    shared = [name for name in here.figures if name in there.figures]
    ratios = {}
    for name in shared:
        base = there.figures[name].median
        ratios[name] = here.figures[name].median / base if base else None
    return RowRatios(here.name, ratios)


def _differences(here: BenchReport, there: BenchReport) -> Iterator[str]:
    for part in ("machine", "versions", "conditions"):
        new, old = getattr(here, part), getattr(there, part)
        for name in dict.fromkeys((*old, *new)):
            before, after = old.get(name), new.get(name)
            if json.dumps(before, default=str) != json.dumps(after, default=str):
                yield f"{name}: {before} -> {after}"
    names = {row.name for row in here.rows}, {row.name for row in there.rows}
    yield from (f"only here: {name}" for name in sorted(names[0] - names[1]))
    yield from (f"only there: {name}" for name in sorted(names[1] - names[0]))
