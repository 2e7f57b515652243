"""`jdsr crop-faces`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jdsr_cli.cli.choices import (
    DetectionScale,
    Detector,
    DetectorChoice,
    Device,
    Force,
    Inputs,
    MinFace,
    Quiet,
    Threshold,
)


def crop_faces(
    inputs: Inputs,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")
    ] = Path("jdsr-faces"),
    size: Annotated[int, typer.Option(metavar="PX", help="Side of the crops.")] = 128,
    every: Annotated[
        int, typer.Option(min=1, metavar="N", help="Look at each N-th frame only.")
    ] = 1,
    detector: Detector = DetectorChoice.AUTO,
    threshold: Threshold = None,
    min_face: MinFace = 10.0,
    detection_scale: DetectionScale = None,
    device: Device = "auto",
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Export the faces of videos and images, aligned.

    Writes DIR/<name of the input>/ with a PNG for each face, faces.csv,
    faces.jsonl and manifest.json: a folder of faces to train on.
    """
    from jdsr_cli.cli.rendering import Bars, write_summary
    from jdsr_cli.restoration import CropSettings
    from jdsr_cli.restoration import crop_faces as run

    settings = CropSettings(
        detector=detector.value,
        threshold=threshold,
        min_face=min_face,
        detection_scale=detection_scale,
        device=device,
        size=size,
        every=every,
        force=force,
    )
    with Bars(quiet=quiet) as bars:
        summary = run(inputs, out, settings, bars)
    write_summary(summary, "exported")
    raise typer.Exit(summary.exit_code)
