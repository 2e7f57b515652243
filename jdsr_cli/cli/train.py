"""`jdsr train`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jdsr_cli.cli.choices import Device, Quiet

if TYPE_CHECKING:
    from rich.table import Table

    from jdsr_train.dry_run import TrainingPlan


def train(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Official CelebA folder, folder of face pictures, or aligned 128x128 faces "
            "(train*.tar and val*.tar, or pictures, with landmarks68.npz or faces.csv).",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder of the run [runs/RECIPE]."),
    ] = None,
    scale: Annotated[int, typer.Option(help="Enlargement when no recipe is named: 4 or 8.")] = 4,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Recipe by name or TOML file [lite_x<scale>]."),
    ] = None,
    stage: Annotated[
        str,
        typer.Option(
            help="prepare, parser, identity, denoise or joint; all: the recipe's, in turn."
        ),
    ] = "all",
    masks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Mask templates to wear beside the drawn masks."),
    ] = None,
    landmarks: Annotated[
        str,
        typer.Option(
            metavar="five|fan|FILE",
            help="Landmarks that the prior learns: those of the data, facexlib's FAN, or an ONNX "
            "file.",
        ),
    ] = "five",
    parsing: Annotated[
        Path | None,
        typer.Option(
            metavar="TAR|DIR", help="Faces labelled as in CelebAMask-HQ, for the parser stage."
        ),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(
            metavar="own|facexlib|none|FILE",
            help="Who labels the faces' parts: the run's parser, facexlib's, nobody, or a file.",
        ),
    ] = "own",
    features: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Frozen features, VGG-16 or SqueezeNet 1.1 weights [torchvision's VGG-16].",
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Weights whose fitting tensors to start from."),
    ] = None,
    identity: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Identity network of another run, instead of the run's own."
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of prepared faces, to be shared [OUT/cache]."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Give the joint stage as many steps as fit into this time on this machine; the "
            "same command goes on with the number of its first start.",
        ),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            metavar="SECONDS",
            help="End this long after the start, whatever the speed: every stage gets a share of "
            "the time and its schedule ends with it; what cannot be done in it is left out and "
            "the weights say so.",
        ),
    ] = None,
    export_every: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            metavar="SECONDS",
            help="Write the weights this often beside the training of the joint stage.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps of every stage instead of the recipe's, for a trial."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be done and what it takes; train nothing."),
    ] = False,
    device: Device = "auto",
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that prepare samples (0: in the main one).")
    ] = 1,
    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints [about a minute].")
    ] = None,
    validate_every: Annotated[
        int | None,
        typer.Option(
            min=1, help="Steps between validations [500; with --deadline at the end of a stage]."
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            help="Processes that share every step: one for each GPU, or of one thread each for the "
            "cores of a CPU with nothing else to do.",
        ),
    ] = 1,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile the trained network first (torch.compile): a minute or more that long "
            "runs win back.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a generator by a recipe; the same command resumes a run that was stopped.

    Each stage writes checkpoint.pt, log.jsonl, curves.png and TensorBoard
    records into a folder of its name; the joint stage draws panel.png (input,
    restored, truth). The weights and a manifest that lists them go into
    weights/: JDSR_WEIGHTS=OUT/weights makes every command find them. Ctrl-C
    and SIGTERM export what the joint stage has by then.

    Several machines: torchrun --nnodes 2 --nproc-per-node 4 ... -m jdsr_cli train ...
    """
    from jdsr_train.processes import launch, start_time

    began = start_time()
    if processes > 1:
        raise typer.Exit(launch(processes, _without("--processes", sys.argv[1:]), began))
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.errors import UsageError
    from jdsr_cli.weights import resolve_device
    from jdsr_train import recipe_files
    from jdsr_train.request import RunSettings, TrainRequest
    from jdsr_train.training.time_limit import Deadline

    chosen = recipe_files.load(recipe or f"lite_x{scale}")
    if recipe and scale not in (4, chosen.generator.scale):
        raise UsageError(
            f"recipe {chosen.name} enlarges {chosen.generator.scale} times, not {scale}",
            where="--scale",
        )
    lengths = {"--steps": steps, "--minutes": minutes, "--deadline": deadline}
    given = [name for name, value in lengths.items() if value is not None]
    if len(given) > 1 and "--minutes" in given:
        raise UsageError(f"{' and '.join(given)} exclude each other", hint="Leave one out")
    if steps is not None:
        chosen = recipe_files.shortened(chosen, steps)
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started
    settings = RunSettings(
        out or Path("runs") / chosen.name,
        device=str(resolve_device(device)),
        workers=workers,
        checkpoint_every=checkpoint_every,
        validate_every=validate_every or (500 if deadline is None else None),
        compiled=compiled,
    )
    request = TrainRequest(
        chosen, data, settings, stage=stage, masks=masks, init=init, features=features,
        parsing=parsing, labels=labels, landmarks=landmarks, identity=identity, cache=cache,
        minutes=minutes, export_every=export_every,
        deadline=None if deadline is None else Deadline.after(deadline, began),
    )  # fmt: skip
    with Bars(quiet=quiet or not first) as bars:
        if dry_run:
            from jdsr_train.dry_run import plan_training

            made = plan_training(request, bars)
        else:
            from jdsr_train.run import train as run

            results = run(request, bars)
    if not first:
        return
    if dry_run:
        _tell(made, chosen.name, minutes)
        return
    for result in results:
        typer.echo(f"{result.stage} -> {result.path}")


def _without(option: str, words: list[str]) -> list[str]:
    """Return the words of a command line without an option and its value."""
    kept: list[str] = []
    skipped = False
    for word in words:
        if not skipped and not word.startswith(f"{option}=") and word != option:
            kept.append(word)
        skipped = word == option
    return kept


def _tell(made: TrainingPlan, name: str, minutes: float | None) -> None:
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
        row = [stage.stage, _rate(stage.computed), _rate(stage.made), stage.limit]
        speeds.add_row(*row, *([] if minutes is None else [f"{stage.fitting(minutes):,}"]))
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
