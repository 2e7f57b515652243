"""The table that `jdsr eval` prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from jdsr_cli.evaluation.comparison import Comparison
from jdsr_cli.evaluation.groups import PROPERTIES
from jdsr_cli.evaluation.statistics import Estimate, Row

HEADINGS = {
    "psnr": ("PSNR", 2),
    "ssim": ("SSIM", 4),
    "psnr_crop": ("PSNR cropped", 2),
    "ssim_crop": ("SSIM cropped", 4),
    "psnr_covered": ("PSNR covered", 2),
    "ssim_covered": ("SSIM covered", 4),
    "psnr_beside": ("PSNR beside", 2),
    "ssim_beside": ("SSIM beside", 4),
    "psnr_unaltered": ("PSNR unaltered", 2),
    "lpips": ("LPIPS", 4),
    "identity": ("identity", 4),
    "landmark_error": ("landmarks, %", 2),
}
"""What the table calls each figure, and its decimals."""
COLUMNS = ("mean", "95 %", "difference", "95 %", "better")
ALONE = 2
"""Columns that a single method has."""


def draw_table(found: Comparison) -> Table:
    """Lay out a heading for each figure, a line for each method and one for each of its groups."""
    kinds = list(dict.fromkeys(row.faces for row in found.rows))
    several = len(found.rows) > len(kinds)
    table = Table(
        title=f"{found.count} faces", title_justify="left", box=box.SIMPLE_HEAD,
        caption=escape(_caption(found, several)), caption_justify="left",
    )  # fmt: skip
    table.add_column("", overflow="fold", min_width=14)
    for heading in COLUMNS if several else COLUMNS[:ALONE]:
        table.add_column(heading, justify="right", no_wrap=True)
    for kind in kinds:
        if len(kinds) > 1:
            table.add_row(f"{kind} faces", style="bold underline")
        rows = [row for row in found.rows if row.faces == kind]
        groups = [row for row in found.groups if row.faces == kind]
        for figure in HEADINGS:
            _add_figure(table, figure, rows, groups)
        timed = [row for row in rows if row.scores.faces_per_second is not None]
        if timed:
            table.add_row("faces a second", style="bold")
        for row in timed:
            table.add_row(escape(f"  {row.method}"), f"{row.scores.faces_per_second:.1f}")
    return table


def _caption(found: Comparison, several: bool) -> str:
    lines = ["PSNR in dB"]
    if several:
        lines[0] += (
            f"; difference: to {found.rows[0].method}, face by face; better: on that share of faces"
        )
    first = found.rows[0]
    for row in found.groups:
        if row.group is not None and (row.faces, row.method) == (first.faces, first.method):
            symbol, one = PROPERTIES[row.group.by].symbol, row.group
            lines.append(
                f"{one.name}: {symbol} {one.low:.1f} to {one.high:.1f}, {len(one.places)} faces"
            )
    return "\n".join(lines)


def _add_figure(table: Table, figure: str, rows: Sequence[Row], groups: Sequence[Row]) -> None:
    shown = [row for row in rows if figure in row.estimates]
    if shown:
        table.add_row(HEADINGS[figure][0], style="bold")
    for row in shown:
        table.add_row(escape(f"  {row.method}"), *_cells(row, figure))
        for part in groups:
            if part.group is not None and part.method == row.method and figure in part.estimates:
                table.add_row(f"    {part.group.name}", *_cells(part, figure))


def _cells(row: Row, figure: str) -> list[str]:
    decimals = HEADINGS[figure][1]
    cells = _estimate(row.estimates[figure], decimals, "")
    if figure in row.differences:
        cells += _estimate(row.differences[figure], decimals, "+")
    if figure in row.better_share:
        cells.append(_share(row.better_share[figure]))
    return cells


def _share(share: float) -> str:
    """Write a share in per cent; 100 % and 0 % only where it is every face or none."""
    percent = f"{100 * share:.1f} %"
    if percent == "100.0 %":
        return "100 %" if share == 1 else ">99.9 %"
    if percent == "0.0 %":
        return "0 %" if share == 0 else "<0.1 %"
    return percent


def _estimate(one: Estimate, decimals: int, sign: str) -> list[str]:
    mean = f"{one.mean:{sign}.{decimals}f}"
    if one.low is None or one.high is None:
        return [mean, ""]
    return [mean, f"{one.low:{sign}.{decimals}f} to {one.high:{sign}.{decimals}f}"]
