"""Draw the figures of a report: bars of stages, or lines over batch or frame size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jdsr_cli.atomic import atomic_file
from jdsr_cli.benchmarking.report import BenchReport, MeasuredRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS = {"cpu_ms_per_frame": "processor time", "busy_ms_per_frame": "busy wall time"}
"""Figures of stages that are drawn, and their labels."""
LINES = {
    "generator": ("batch", "faces_per_second", "faces a second"),
    "detector": ("megapixels", "ms_per_frame", "ms a frame"),
}
"""By kind of report: the condition and the figure of the axes, and the label of the second."""


def plot_reports(reports: Sequence[BenchReport], path: Path) -> None:
    """Draw one or two reports of the same kind, the earlier one last, as a PNG file.

    Raises:
        OutputError: The file cannot be written.

    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    if reports[0].kind in LINES:
        _draw_lines(axes, reports)
    else:
        _draw_bars(axes, reports)
    figure.suptitle(f"jdsr bench {reports[0].kind}, {reports[0].machine['cpu']}", fontsize=10)
    with atomic_file(path) as partial:
        figure.savefig(partial, format="png")


def _marks(reports: Sequence[BenchReport]) -> list[str]:
    return ["", " (earlier)"][: len(reports)]


def _draw_bars(axes: Axes, reports: Sequence[BenchReport]) -> None:
    bars = [(mark, report) for mark, report in zip(_marks(reports), reports, strict=True)]
    names = list(dict.fromkeys(row.name for _, one in bars for row in _stages(one)))
    labels = [f"{label}{mark}" for mark, _ in bars for label in BARS.values()]
    below = [0.0] * len(labels)
    for name in names:
        heights = []
        for _, report in bars:
            rows = [row for row in _stages(report) if row.name == name]
            for key in BARS:
                found = [row.figures[key].median for row in rows if key in row.figures]
                heights.append(sum(found))
        axes.bar(labels, heights, bottom=below, label=name, width=0.6)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    axes.set_ylabel("ms a frame")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def _stages(report: BenchReport) -> list[MeasuredRow]:
    """Return the rows that are parts of a run, not the run as a whole."""
    return [row for row in report.rows if "cpu_share" in row.figures]


def _draw_lines(axes: Axes, reports: Sequence[BenchReport]) -> None:
    condition, key, label = LINES[reports[0].kind]
    for mark, report in zip(_marks(reports), reports, strict=True):
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in report.rows:
            if key in row.figures:
                fixed = (str(v) for k, v in row.conditions.items() if k not in (condition, "size"))
                point = (float(row.conditions[condition]), row.figures[key].median)
                lines.setdefault(" ".join(fixed) + mark, []).append(point)
        for name, points in lines.items():
            axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
    axes.set_xlabel(condition)
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    if axes.has_data():
        axes.legend()
