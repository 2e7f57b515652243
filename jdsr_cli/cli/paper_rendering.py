"""A table of the paper on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jdsr_cli.cli.figure_cells import HEADINGS, estimate_cells
from jdsr_cli.cli.terminal import cell, write_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from jdsr_cli.evaluation.table_rows import MeasuredTable, TableRow

PUBLISHED = ("psnr", "ssim")
"""Figures that the paper states; rows without a checkpoint are shown below these alone."""


def print_paper_table(console: Console, table: MeasuredTable) -> None:
    """Print the table, its protocol, and what is known of each checkpoint."""
    console.print(draw_paper_table(table))
    for line in (*table.conditions, "", *table.captions, ""):
        write_line(line)


def draw_paper_table(table: MeasuredTable) -> Table:
    """Return the table: for each scale and figure a line for each row of the paper."""
    from rich import box
    from rich.table import Table

    from jdsr_cli.evaluation.paper_tables import FULL_MODEL
    from jdsr_cli.evaluation.table_rows import FIGURES_SHOWN

    drawn = Table(title=cell(table.paper.title), title_justify="left", box=box.SIMPLE_HEAD)
    drawn.add_column("", overflow="fold", min_width=14)
    for heading in ("mean", "95 %", "paper", f"to {FULL_MODEL}", "95 %"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    for scale in table.scales:
        rows = table.at(scale)
        drawn.add_row(f"x{scale}", style="bold underline")
        for figure in FIGURES_SHOWN:
            _add_figure(drawn, figure, rows)
        trained = [row for row in rows if row.measured is not None and row.training]
        if trained:
            drawn.add_row("steps x faces", style="bold")
        for row in trained:
            drawn.add_row(cell(f"  {row.label}"), cell(row.training))
    return drawn


def _add_figure(drawn: Table, figure: str, rows: Sequence[TableRow]) -> None:
    heading, decimals = HEADINGS[figure]
    lines: list[list[str | Text]] = []
    for row in rows:
        cells: list[str | Text]
        published = ""
        if figure in PUBLISHED and row.paper.published is not None:
            published = f"{getattr(row.paper.published, figure):.{decimals}f}"
        estimates = {} if row.measured is None else row.measured.estimates
        if figure in estimates and row.measured is not None:
            cells = [*estimate_cells(estimates[figure], decimals), published]
            if figure in row.measured.differences:
                cells += estimate_cells(row.measured.differences[figure], decimals, "+")
        elif figure in PUBLISHED and row.measured is None:
            cells = [cell(row.status), "", published]
        else:
            continue
        lines.append([cell(f"  {row.label}"), *cells])
    if lines:
        drawn.add_row(heading, style="bold")
    for line in lines:
        drawn.add_row(*line)
