"""`jdsr demo`."""

from __future__ import annotations

import typer

from jdsr_cli.cli.options import with_options
from jdsr_cli.settings import DemoOptions, DemoSettings


@with_options
def demo(options: DemoOptions, settings: DemoSettings) -> None:
    """Make a short clip in the manner of a surveillance camera and restore it.

    Two people with masks walk down a corridor. Their faces come from photographs
    that installed packages contain, so nothing is downloaded. Writes DIR/clip.mp4,
    DIR/clip/ (the results of 'jdsr restore') and DIR/contact-sheet.png, which
    shows camera, restored face and true face side by side.
    """
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.demo import demo as run

    with Bars(quiet=options.quiet) as bars:
        result = run(options.out, settings.restoration, progress=bars)
    typer.echo(f"clip          {result.clip}")
    typer.echo(f"restored      {result.video}")
    typer.echo(f"side by side  {result.sheet}")
    seconds = result.restored.seconds.get("total", 0.0)
    typer.echo(
        f"{result.detected} of {result.faces} faces detected; restoring took {seconds:.1f} s"
    )
