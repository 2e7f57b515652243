"""`jdsr train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jdsr_cli.cli.choices import Device, Quiet


def train(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Aligned 128x128 faces: train*.tar and val*.tar with landmarks68.npz or "
            "faces.csv beside them.",
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
    masks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Mask templates to wear beside the drawn masks."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Weights whose fitting tensors to start from."),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="SqueezeNet 1.1 weights for a perceptual term."),
    ] = None,
    device: Device = "auto",
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that prepare samples (0: in the main one).")
    ] = 1,
    quiet: Quiet = False,
) -> None:
    """Train a generator by a recipe; the same command resumes a run that was stopped.

    Writes checkpoint.pt, log.jsonl, panel.png (input, restored, truth),
    curves.png and, at the end, RECIPE.safetensors.
    """
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.weights import resolve_device
    from jdsr_train.recipes import load
    from jdsr_train.run import TrainRequest
    from jdsr_train.run import train as run
    from jdsr_train.trainer import RunSettings

    chosen = load(recipe or f"lite_x{scale}")
    settings = RunSettings(
        out or Path("runs") / chosen.name, device=str(resolve_device(device)), workers=workers
    )
    with Bars(quiet=quiet) as bars:
        path = run(TrainRequest(chosen, data, settings, masks, init, features), bars)
    typer.echo(f"{chosen.name} -> {path}")
