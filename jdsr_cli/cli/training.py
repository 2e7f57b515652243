"""`jdsr train`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from jdsr_cli.cli.options import with_options
from jdsr_cli.settings import RunOptions, TrainSettings

if TYPE_CHECKING:
    from rich.table import Table

    from jdsr_train.dry_run import TrainingPlan


@with_options
def train(settings: TrainSettings, options: RunOptions) -> None:
    """Train a generator by a recipe; the same command resumes a run that was stopped.

    Each stage writes checkpoint.pt, log.jsonl, curves.png and TensorBoard
    records into a folder of its name; the joint stage draws panel.png (input,
    restored, truth). The weights and a manifest that lists them are written to
    weights/: with JDSR_WEIGHTS=OUT/weights every command finds them. Ctrl-C
    and SIGTERM export what the joint stage has trained by then.

    Several machines: torchrun --nnodes 2 --nproc-per-node 4 ... -m jdsr_cli train ...
    """
    from jdsr_train.processes import launch, start_time
    from jdsr_train.request import is_first_process, make_request, without_option

    began = start_time()
    if settings.processes > 1:
        words = without_option("--processes", sys.argv[1:])
        raise typer.Exit(launch(settings.processes, words, began))
    from jdsr_cli.cli.rendering import Bars

    request = make_request(settings, began)
    with Bars(quiet=options.quiet or not is_first_process()) as bars:
        if options.dry_run:
            from jdsr_train.dry_run import plan_training

            made = plan_training(request, bars)
        else:
            from jdsr_train.run import train as run

            results = run(request, bars)
    if not is_first_process():
        return
    if options.dry_run:
        _write_plan(made, request.recipe.name, settings.minutes)
        return
    for result in results:
        typer.echo(f"{result.stage} -> {result.path}")


def _write_plan(made: TrainingPlan, name: str, minutes: float | None) -> None:
    """Print a plan as tables: what the stages are, and how fast."""
    from rich.console import Console

    sizes = _table(
        f"{name} on {made.processes} x {made.device}",
        "stage", "steps", "faces a step", "trained parameters", "time", "memory",
    )  # fmt: skip
    speeds = _table("faces a second", "stage", "computed", "made by a worker", "limit")
    if minutes is not None:
        speeds.add_column(f"steps in {minutes:g} min", justify="right")
    for stage in made.stages:
        parameters = ", ".join(f"{part} {count:,}" for part, count in stage.parameters.items())
        sizes.add_row(
            stage.stage, f"{stage.steps:,}", str(stage.batch), parameters,
            _duration(stage.seconds), f"{stage.gigabytes:.1f} GiB",
        )  # fmt: skip
        row = [
            stage.stage,
            _rate(stage.trained_per_second),
            _rate(stage.prepared_per_second),
            stage.limit,
        ]
        speeds.add_row(*row, *([] if minutes is None else [f"{stage.steps_in(minutes):,}"]))
    console = Console()
    console.print(sizes)
    console.print(speeds)
    console.print("Timed on made-up faces; preparation, validation and checkpoints come on top.")
    for deviation in made.deviations:
        console.print(f"differs from the paper: {deviation}", markup=False)
    if made.missing:
        console.print(f"cannot start yet: {made.missing}", markup=False)


def _table(title: str, *headings: str) -> Table:
    from rich.table import Table

    table = Table(title=title)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("stage", "limit") else "right")
    return table


def _rate(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
