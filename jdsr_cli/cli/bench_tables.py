"""Reports of `jdsr bench` as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jdsr_cli.benchmarking.report import BenchReport, Figure, MeasuredRow, ReportComparison
from jdsr_cli.cli.terminal import write_line
from jdsr_cli.file_names import as_text


def write_report(report: BenchReport) -> None:
    """Write machine, versions, conditions and a table of figures to standard output.

    Rows with the same figures form one table; a figure is shown as its median and, if it was
    measured several times, its lowest and highest value.
    """
    machine = dict(report.machine)
    flags = " ".join(machine.pop("cpu_flags", [])) or "none"
    _line("machine", *(f"{name} {value}" for name, value in machine.items()), f"flags {flags}")
    _line("versions", *(f"{name} {value}" for name, value in report.versions.items()))
    _line("conditions", *(f"{name} {value}" for name, value in report.conditions.items()))
    for names, rows in _tables(report.rows):
        cells = [["", *names]]
        cells += [
            [as_text(row.name), *(_text(row.figures[name]) for name in names)] for row in rows
        ]
        _write_table(cells)
    for row in report.rows:
        if row.unavailable is not None:
            write_line(f"{row.name}: not measured, {row.unavailable}")


def write_comparison(comparison: ReportComparison) -> None:
    """Write the ratio of each figure and the conditions that differ to standard output."""
    write_line()
    write_line("ratio to the earlier report")
    for row in comparison.rows:
        shown = (
            f"{name} {'-' if ratio is None else format(ratio, '.3f')}"
            for name, ratio in row.ratios.items()
        )
        write_line(f"{row.name}: {', '.join(shown)}")
    for difference in comparison.differences:
        write_line(f"differs: {difference}")


def _tables(rows: Sequence[MeasuredRow]) -> Iterable[tuple[list[str], list[MeasuredRow]]]:
    """Group measured rows by the figures that they have."""
    groups: dict[tuple[str, ...], list[MeasuredRow]] = {}
    for row in rows:
        if row.unavailable is None:
            groups.setdefault(tuple(row.figures), []).append(row)
    return ((list(names), group) for names, group in groups.items())


def _write_table(cells: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    write_line()
    for first, *others in cells:
        padded = (text.rjust(width) for text, width in zip(others, widths[1:], strict=True))
        write_line("  ".join((first.ljust(widths[0]), *padded)).rstrip())


def _text(figure: Figure) -> str:
    shown = f"{figure.median:.4g}"
    if len(figure.values) > 1:
        shown += f" ({figure.low:.4g}-{figure.high:.4g})"
    return shown


def _line(name: str, *parts: str) -> None:
    write_line(f"{name}: {', '.join(parts)}")
