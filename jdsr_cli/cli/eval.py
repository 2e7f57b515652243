"""`jdsr eval`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from jdsr_cli.cli.figure_cells import HEADINGS, estimate_cells, share_cell
from jdsr_cli.cli.options import with_options
from jdsr_cli.cli.terminal import cell, open_console, write_error, write_line
from jdsr_cli.cli.video_tables import draw_video_table
from jdsr_cli.errors import EXIT_PARTIAL
from jdsr_cli.settings import EvalSettings, TerminalOptions

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from jdsr_cli.evaluation.comparison import Comparison
    from jdsr_cli.evaluation.statistics import Row
    from jdsr_cli.evaluation.table_files import TableFiles

PLAIN_WIDTH = 100
"""Columns of a table that is written to a file or pipe."""
REFERENCES = {
    "identity": {"identity_input": "enlarged input"},
    "rank1": {"rank1_input": "enlarged input", "rank1_truth": "true face"},
}
"""Figures of the same faces without restoration, and their labels, below those of methods."""
TRACK_FIGURES = tuple(name for name in HEADINGS if not name.endswith(("_crop", "_beside")))
"""Figures in the table of tracks; `results.json` has all."""
COLUMNS = ("mean", "95 %", "difference", "95 %", "better")
SINGLE = 2
"""Number of the columns that a single method has."""


@with_options
def evaluate(settings: EvalSettings, terminal: TerminalOptions) -> None:
    """Measure restoration methods on faces with masks: PSNR and SSIM on Y, by region, and more.

    Every method gets the same pictures. Prints means with 95 % intervals,
    paired differences and the share of the faces on which each method is
    better than the first; writes results.json, scores.csv (one line a face)
    and sheet.png (input, each method, truth). With --burst every face is
    restored from several shots, and the table has a column for each number.

    With --table a table of the paper is printed, its figures beside those of
    the checkpoints, and table.json and table.md are written as well. Rows
    without a checkpoint are marked missing; the exit code is 4 if weights of
    a row cannot be used.

    With --video restored videos are compared with their reference: how steady
    faces are from frame to frame (scores.csv: one line a track).
    """
    from jdsr_cli.cli.rendering import Bars

    if settings.video:
        from jdsr_cli.evaluation.videos import compare_videos

        with Bars(quiet=terminal.quiet) as bars:
            videos = compare_videos(settings, bars)
        _print(draw_video_table(videos), videos.results, videos.per_track, videos.faces)
        return
    from jdsr_cli.evaluation.comparison import compare as run

    with Bars(quiet=terminal.quiet) as bars:
        found = run(settings, bars)
    if found.table is not None:
        _print_paper_table(found.table, found)
        return
    table = draw_track_table(found) if found.bursts else draw_table(found)
    _print(table, found.results, found.per_face, found.sheet)


def _console() -> Console:
    """Return the console of tables."""
    console = open_console()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def _print(table: Table, *files: Path) -> None:
    """Print a table and the paths of the files with the results."""
    _console().print(table)
    for file in files:
        write_line(file)


def _print_paper_table(files: TableFiles, found: Comparison) -> None:
    """Print a table of the paper, the paths of its files, and the errors of its rows."""
    from jdsr_cli.cli.paper_rendering import print_paper_table

    print_paper_table(_console(), files.table)
    for file in (files.record, files.text, found.results, found.per_face, found.sheet):
        write_line(file)
    for error in files.table.errors:
        write_error(error)
    if files.table.errors:
        raise typer.Exit(EXIT_PARTIAL)


def draw_table(found: Comparison) -> Table:
    """Return the table: for each figure a line for each method and for each of its groups."""
    from rich import box
    from rich.table import Table

    kinds = list(dict.fromkeys(row.faces for row in found.rows))
    several = len(found.rows) > len(kinds)
    table = Table(
        title=f"{found.count} faces", title_justify="left", box=box.SIMPLE_HEAD,
        caption=cell(*_caption(found, several)), caption_justify="left",
    )  # fmt: skip
    table.add_column("", overflow="fold", min_width=14)
    for heading in COLUMNS if several else COLUMNS[:SINGLE]:
        table.add_column(heading, justify="right", no_wrap=True)
    for kind in kinds:
        if len(kinds) > 1:
            table.add_row(cell(f"{kind} faces"), style="bold underline")
        rows = [row for row in found.rows if row.faces == kind]
        groups = [row for row in found.groups if row.faces == kind]
        for figure in HEADINGS:
            _add_figure(table, figure, rows, groups)
        timed = [row for row in rows if row.scores.faces_per_second is not None]
        if timed:
            table.add_row("faces a second", style="bold")
        for row in timed:
            table.add_row(cell(f"  {row.method}"), f"{row.scores.faces_per_second:.1f}")
    return table


def draw_track_table(found: Comparison) -> Table:
    """Return the table of tracks: a line for each width and method, a column for each number."""
    from rich import box
    from rich.table import Table

    counts = sorted({one.shots for one in found.bursts.values()})
    table = Table(
        title=f"{found.count} faces, shots of a track: {', '.join(map(str, counts))}",
        title_justify="left", box=box.SIMPLE_HEAD, caption_justify="left",
        caption=f"PSNR in dB; gain: of {counts[-1]} shots over the first one alone, face by face; "
        "better: on that share of faces",
    )  # fmt: skip
    table.add_column("", overflow="fold", min_width=14)
    for heading in (*map(str, counts), "gain", *COLUMNS[-2:]):
        table.add_column(heading, justify="right", no_wrap=True)
    sections = dict.fromkeys(row.faces for row in found.rows)
    for kind in dict.fromkeys(name.partition(" ")[0] for name in sections):
        table.add_row(cell(f"{kind} faces"), style="bold underline")
        own = [name for name in sections if name.partition(" ")[0] == kind]
        for figure in TRACK_FIGURES:
            heading, decimals = HEADINGS[figure]
            lines = [line for name in own for line in _track_lines(found, name, figure, decimals)]
            if lines:
                table.add_row(heading, style="bold")
            for line in lines:
                table.add_row(*line)
    return table


def _track_lines(
    found: Comparison, faces: str, figure: str, decimals: int
) -> list[list[str | Text]]:
    """Return a line for each combination of shots: the means, and the gain of the most shots."""
    rows = {row.method: row for row in found.rows if row.faces == faces}
    methods = [one for one in found.bursts.values() if figure in rows[one.name].estimates]
    counts = sorted({one.shots for one in found.bursts.values()})
    several = len({one.restorer for one in found.bursts.values()}) > 1
    lines: list[list[str | Text]] = []
    for single in (one for one in methods if one.combination is None):
        others = [one for one in methods if one.restorer == single.restorer and one is not single]
        for combination in dict.fromkeys(one.combination for one in others) or [None]:
            named = {one.shots: one.name for one in others if one.combination == combination}
            named[single.shots] = single.name
            shown = single.restorer if several or combination is None else ""
            label = "  " + " ".join(filter(None, (faces.partition(" ")[2], shown, combination)))
            means = [
                f"{rows[named[count]].estimates[figure].mean:.{decimals}f}"
                if count in named
                else ""
                for count in counts
            ]
            gain = _gain_cells(rows[named[max(named)]], figure, decimals)
            lines.append([cell(label), *means, *gain])
    return lines


def _caption(found: Comparison, several: bool) -> list[str]:
    from jdsr_cli.evaluation.statistics import PROPERTIES

    lines = ["PSNR in dB"]
    if several:
        lines[0] += (
            f"; difference: to {found.rows[0].method}, face by face; better: on that share of faces"
        )
    for row in found.groups:
        if row.group is not None and row.method == found.rows[0].method:
            symbol, one = PROPERTIES[row.group.by].symbol, row.group
            lines.append(
                f"{row.faces}, {one.name}: {symbol} {one.low:.1f} to {one.high:.1f}, "
                f"{len(one.indices)} faces"
            )
    return lines


def _add_figure(table: Table, figure: str, rows: Sequence[Row], groups: Sequence[Row]) -> None:
    shown = [row for row in rows if figure in row.estimates]
    if shown:
        table.add_row(HEADINGS[figure][0], style="bold")
    references = REFERENCES.get(figure, {})
    lines = [(row, row.method, figure) for row in shown]
    lines += [(row, label, name) for name, label in references.items() for row in shown[:1]]
    for row, label, name in lines:
        decimals = HEADINGS[figure][1]
        if name in row.estimates:
            table.add_row(cell(f"  {label}"), *_cells(row, name, decimals))
        for part in groups:
            if part.group is not None and part.method == row.method and name in part.estimates:
                table.add_row(cell(f"    {part.group.name}"), *_cells(part, name, decimals))


def _cells(row: Row, figure: str, decimals: int) -> list[str]:
    cells = estimate_cells(row.estimates[figure], decimals)
    return cells + _gain_cells(row, figure, decimals)


def _gain_cells(row: Row, figure: str, decimals: int) -> list[str]:
    """Return the difference to the first method, its interval, and the share of better faces."""
    cells = []
    if figure in row.differences:
        cells += estimate_cells(row.differences[figure], decimals, "+")
    if figure in row.better_share:
        cells.append(share_cell(row.better_share[figure]))
    return cells
