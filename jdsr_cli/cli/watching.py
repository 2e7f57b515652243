"""The command `watch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jdsr_cli.cli.options import with_options
from jdsr_cli.settings import ExecutionSettings, RestoreSettings, WatchOptions


@with_options
def watch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the recordings.")],
    options: WatchOptions,
    settings: RestoreSettings,
    execution: ExecutionSettings,
) -> None:
    """Restore recordings in a folder as a recorder finishes them.

    A recording, also in a sub-folder, is finished when its size and its
    modification time have not changed for --settle seconds. Each is restored
    once, also across restarts; an interrupted one continues. A file that fails
    is reported once and tried again only if it changes. Nothing is deleted.

    Runs until Ctrl-C, SIGTERM or SIGHUP (exit code 130; finished work is kept), or with
    --once until everything that is finished now is restored.
    """
    from jdsr_cli.cli.rendering import Bars, write_summary
    from jdsr_cli.restoration import InputResult, RunSummary
    from jdsr_cli.watching import watch as run

    results: list[InputResult] = []
    with Bars(quiet=options.quiet) as bars:
        for result in run(folder, options, settings, execution, bars):
            write_summary(RunSummary((result,)), "restored")
            results += [result] if options.once else []
    raise typer.Exit(RunSummary(tuple(results)).exit_code)
