"""`jdsr crop-faces`."""

from __future__ import annotations

import typer

from jdsr_cli.cli.options import Inputs, with_options
from jdsr_cli.settings import CropOptions, CropSettings


@with_options
def crop_faces(inputs: Inputs, options: CropOptions, settings: CropSettings) -> None:
    """Export the aligned faces of videos and images.

    Writes DIR/<name of the input>/ with a PNG for each face, faces.csv,
    faces.jsonl, tracks.jsonl and manifest.json: a folder of faces to train on.
    """
    from jdsr_cli.cli.rendering import Bars, write_plan, write_summary
    from jdsr_cli.restoration import crop_faces as run
    from jdsr_cli.restoration import plan_crops

    with Bars(quiet=options.quiet) as bars:
        if options.dry_run:
            plan = plan_crops(inputs, options.out, settings, bars)
        else:
            summary = run(inputs, options.out, settings, bars)
    if options.dry_run:
        write_plan(plan)
        raise typer.Exit(plan.exit_code)
    write_summary(summary, "exported")
    raise typer.Exit(summary.exit_code)
