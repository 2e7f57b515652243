"""`jdsr eval`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from jdsr_cli.cli.options import with_options
from jdsr_cli.settings import EvalSettings, TerminalOptions

if TYPE_CHECKING:
    from jdsr_train.compare import Comparison

PLAIN_WIDTH = 100
"""Columns of a table that is written to a file or pipe."""


@with_options
def evaluate(settings: EvalSettings, terminal: TerminalOptions) -> None:
    """Measure restoration methods on faces with masks: PSNR and SSIM on Y, by region, and more.

    Every method gets the same pictures. Prints means with 95 % intervals,
    paired differences and the share of the faces on which each method is
    better than the first; writes results.json, scores.csv (one line a face)
    and sheet.png (input, each method, truth).
    """
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.weights import resolve_device
    from jdsr_train.compare import CompareRequest
    from jdsr_train.compare import compare as run

    device = str(resolve_device(settings.device))
    with Bars(quiet=terminal.quiet) as bars:
        found = run(CompareRequest(**{**vars(settings), "device": device}), bars)
    _write(found)


def _write(found: Comparison) -> None:
    from rich.console import Console

    from jdsr_cli.cli.eval_table import draw_table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(draw_table(found))
    typer.echo(f"{found.results}\n{found.per_face}\n{found.sheet}")
