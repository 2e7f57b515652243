"""`jdsr train`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from jdsr_cli.cli.options import with_options
from jdsr_cli.cli.terminal import cell, open_console, write_line
from jdsr_cli.progress import duration_text
from jdsr_cli.settings import RunOptions, TrainSettings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from jdsr_train.dry_run import TrainingPlan
    from jdsr_train.queue.execution import QueueOutcome
    from jdsr_train.queue.forecast import QueueForecast

MIN_WIDTH = 110
"""Characters in a line of the tables of a queue, at least."""


@with_options
def train(settings: TrainSettings, options: RunOptions) -> None:
    """Train a generator by a recipe; the same command resumes a run that was stopped.

    Each stage writes checkpoint.pt, log.jsonl, curves.png and TensorBoard
    records into a folder of its name; the joint stage draws panel.png (input,
    restored, truth). The weights and a manifest that lists them are written to
    weights/: with JDSR_WEIGHTS=OUT/weights every command finds them. Ctrl-C,
    SIGTERM and SIGHUP export what the joint stage has trained by then.

    With --plan the recipes of a plan are trained in turn, each in a process of
    its own and a folder of its name.

    Several machines: torchrun --nnodes 2 --nproc-per-node 4 ... -m jdsr_cli train ...
    """
    from jdsr_train.processes import launch, start_time
    from jdsr_train.request import is_first_process, make_request, without_option

    if settings.plan is not None:
        _run_plan(settings, options)
        return
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
        write_line(f"{result.stage} -> {result.path}")


def _run_plan(settings: TrainSettings, options: RunOptions) -> None:
    """Run the queue of a plan, or show it."""
    from jdsr_cli.cli.rendering import Bars

    with Bars(quiet=options.quiet) as bars:
        if options.dry_run:
            from jdsr_train.queue.forecast import plan_queue

            made = plan_queue(settings, bars)
        else:
            from jdsr_train.queue.execution import run_queue

            outcome = run_queue(settings, bars)
    if options.dry_run:
        _write_forecast(made)
        return
    _write_outcome(outcome)
    raise typer.Exit(outcome.exit_code)


def _write_outcome(outcome: QueueOutcome) -> None:
    """Print what came of the jobs of a queue, and the commands that evaluate it."""
    jobs = _table("jobs", "job", "state", "time", "steps", "weights")
    for one in outcome.jobs:
        record = one.record
        jobs.add_row(
            cell(one.name), cell(record.state),
            duration_text(record.seconds) if record.seconds else "",
            cell(record.steps), cell(record.weights),
        )  # fmt: skip
    _wide_console().print(jobs)
    for one in outcome.jobs:
        if one.record.error:
            write_line(f"{one.name}: {one.record.state}, {one.record.error}")
    for command in outcome.evaluations:
        write_line(command)


def _write_forecast(made: QueueForecast) -> None:
    """Print the stages of the jobs of a queue, how long they take, and what is missing."""
    processes = "GPUs" if made.gpus else "processes"
    gpus = f", {made.gpus} GPUs" if made.gpus else ""
    stages = _table(
        f"{made.name} on {made.device}{gpus}",
        "job", "stage", "steps", "batch", processes, "s a step", "time",
    )  # fmt: skip
    stages.columns[0].no_wrap = True
    for job in made.jobs:
        name = cell(job.name) if job.state == "waiting" else cell(job.name, f"  {job.state}")
        total = "unknown" if job.seconds is None else duration_text(job.seconds)
        if not job.stages:
            stages.add_row(name, *[""] * 5, total)
        for number, one in enumerate(job.stages):
            steps = f"in {one.minutes:g} min" if one.steps is None else f"{one.steps:,}"
            stages.add_row(
                "" if number else name, cell(one.stage), steps, str(one.batch), str(job.processes),
                f"{one.step_seconds:.3g}", "" if number else total,
            )  # fmt: skip
    _wide_console().print(stages)
    between = " and the exchange between GPUs" if made.gpus > 1 else ""
    write_line(
        "Timed on made-up faces; chains, preparation, validation, checkpoints"
        f"{between} come on top."
    )
    if made.running:
        write_line(
            "The queue is running: nothing was measured beside it, and what may be missing was not "
            "checked. Times are those of earlier dry runs."
        )
    if made.chains:
        write_line(f"then chained: {', '.join(made.chains)}")
    for error, jobs in made.missing.items():
        write_line(f"cannot start yet: {', '.join(jobs)}: {error}")
    without = f", without {', '.join(made.unknown)}" if made.unknown else ""
    write_line(f"in all {made.seconds / 3600:.1f} h{without}")


def _write_plan(made: TrainingPlan, name: str, minutes: float | None) -> None:
    """Print a plan as tables: what the stages are, and how fast."""
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
            cell(stage.stage), f"{stage.steps:,}", str(stage.batch), parameters,
            duration_text(stage.seconds), f"{stage.gigabytes:.1f} GiB",
        )  # fmt: skip
        row: list[str | Text] = [
            cell(stage.stage),
            _rate(stage.trained_per_second),
            _rate(stage.prepared_per_second),
            cell(stage.limit),
        ]
        speeds.add_row(*row, *([] if minutes is None else [f"{stage.steps_in(minutes):,}"]))
    console = open_console()
    console.print(sizes)
    console.print(speeds)
    write_line("Timed on made-up faces; preparation, validation and checkpoints come on top.")
    for deviation in made.deviations:
        write_line(f"differs from the paper: {deviation}")
    if made.missing:
        write_line(f"cannot start yet: {made.missing}")


def _wide_console() -> Console:
    """Return a console on which no cell is cut off, also where the output is no terminal."""
    return open_console(width=max(MIN_WIDTH, open_console().width), wraps=False)


_TEXTS = ("stage", "limit", "job", "state", "weights")
"""Columns of text."""


def _table(title: str, *headings: str) -> Table:
    from rich.table import Table

    table = Table(title=cell(title))
    for heading in headings:
        table.add_column(heading, justify="left" if heading in _TEXTS else "right")
    return table


def _rate(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
