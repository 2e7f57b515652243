"""`jdsr demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jdsr_cli.cli.choices import Detector, DetectorChoice, Device, Force, Quiet, Weights


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")
    ] = Path("jdsr-demo"),
    weights: Weights = "auto",
    detector: Detector = DetectorChoice.AUTO,
    device: Device = "auto",
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Make a short clip as of a surveillance camera and restore it.

    Two people with masks walk down a corridor; they come from photographs
    that installed packages ship, so nothing is downloaded. Writes DIR/clip.mp4,
    DIR/clip/ (the results of 'jdsr restore') and DIR/contact-sheet.png, which
    shows camera, restored face and true face side by side.
    """
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.demo import demo as run
    from jdsr_cli.settings import RestoreSettings

    settings = RestoreSettings(
        weights=weights,
        detector=detector.value,
        device=device,
        force=force,
        crops="all",
    )
    with Bars(quiet=quiet) as bars:
        result = run(out, settings, progress=bars)
    typer.echo(f"clip          {result.clip}")
    typer.echo(f"restored      {result.video}")
    typer.echo(f"side by side  {result.sheet}")
    seconds = result.restored.seconds.get("total", 0.0)
    typer.echo(f"{result.found} of {result.faces} faces found; restoring took {seconds:.1f} s")
