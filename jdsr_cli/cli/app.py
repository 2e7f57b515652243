"""The command `jdsr`: its subcommands, and exit codes for errors."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jdsr_cli.allocation import return_freed_memory
from jdsr_cli.cli.bench import app as bench
from jdsr_cli.cli.bundling import bundle
from jdsr_cli.cli.commands import crop_faces, demo, doctor, restore
from jdsr_cli.cli.eval import evaluate
from jdsr_cli.cli.exporting import export
from jdsr_cli.cli.reporting import report
from jdsr_cli.cli.terminal import write_error, write_line, write_notice
from jdsr_cli.cli.training import train
from jdsr_cli.cli.verifying import verify
from jdsr_cli.cli.watching import watch
from jdsr_cli.cli.weights import app as weights
from jdsr_cli.errors import EXIT_INTERRUPTED, JdsrError, OutputError
from jdsr_cli.memory_faults import memory_fault
from jdsr_cli.signals import interrupting_signals
from jdsr_cli.standard_streams import guarded_streams
from jdsr_cli.version import __version__


class Commands(TyperGroup):
    """Commands that report an error in one line on standard error and exit with its code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the given command."""
        try:
            return super().invoke(ctx)
        except Exception as fault:
            error = memory_fault(fault) or fault
            if not isinstance(error, JdsrError):
                raise
            write_error(error)
            raise typer.Exit(error.exit_code) from fault
        except KeyboardInterrupt as fault:
            write_notice(
                "interrupted: finished work is kept (continue with --resume; training resumes)"
            )
            raise typer.Exit(EXIT_INTERRUPTED) from fault


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(requested: bool) -> None:
    if requested:
        write_line(f"jdsr {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Restore small and masked faces in surveillance footage (JDSR-GAN)."""


app.command()(restore)
app.command("crop-faces")(crop_faces)
app.command()(watch)
app.command()(verify)
app.command()(bundle)
app.command()(report)
app.add_typer(weights, name="weights")
app.command()(demo)
app.command()(doctor)
app.command()(train)
app.command("eval")(evaluate)
app.command()(export)
app.add_typer(bench, name="bench")


def main() -> None:
    """Entry point of the command line."""
    return_freed_memory()
    try:
        with interrupting_signals(ends_process=True), guarded_streams():
            app()
    except OutputError as fault:
        write_error(fault)
        raise SystemExit(fault.exit_code) from fault
