"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jdsr_cli.cli.terminal import write_error, write_line


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR", help="Results of 'jdsr restore', or folders of them."),
    ],
) -> None:
    """Write report.html of results again, and index.html of a folder of results.

    A report is made from the folder of the result alone: its manifest, records
    and pictures. It is one file that loads nothing from elsewhere.

    Exit codes: 0 all done, 3 no result could be read, 4 some failed, 6 the
    report cannot be written.
    """
    from jdsr_cli.reporting import report as run

    summary = run(folders)
    for one in summary.done:
        write_line(one.page)
    for one in summary.failed:
        write_error(one.error)
    raise typer.Exit(summary.exit_code)
