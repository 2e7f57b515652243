"""`jdsr crop-faces`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jdsr_cli.cli.choices import (
    Aspect,
    Deinterlace,
    DeinterlaceChoice,
    DetectEvery,
    DetectionScale,
    Detector,
    DetectorChoice,
    Device,
    DryRun,
    End,
    Force,
    Fps,
    Identity,
    Inputs,
    MinFace,
    MinSharpness,
    MinTrack,
    Quiet,
    Resume,
    Roi,
    RotatedFaces,
    Segment,
    Smoothing,
    Start,
    Stream,
    Threshold,
    reading,
    rectangle,
)


def crop_faces(
    inputs: Inputs,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")
    ] = Path("jdsr-faces"),
    size: Annotated[int, typer.Option(metavar="PX", help="Side of the crops.")] = 128,
    detector: Detector = DetectorChoice.AUTO,
    threshold: Threshold = None,
    min_face: MinFace = 10.0,
    min_sharpness: MinSharpness = 0.05,
    min_track: MinTrack = 1,
    detection_scale: DetectionScale = None,
    rotated_faces: RotatedFaces = False,
    detect_every: DetectEvery = 1,
    roi: Roi = None,
    smoothing: Smoothing = 0.1,
    identity: Identity = None,
    start: Start = None,
    end: End = None,
    fps: Fps = None,
    stream: Stream = None,
    deinterlace: Deinterlace = DeinterlaceChoice.AUTO,
    aspect: Aspect = None,
    device: Device = "auto",
    segment: Segment = 240,
    resume: Resume = False,
    dry_run: DryRun = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Export the faces of videos and images, aligned.

    Writes DIR/<name of the input>/ with a PNG for each face, faces.csv,
    faces.jsonl, tracks.jsonl and manifest.json: a folder of faces to train on.
    """
    from jdsr_cli.cli.rendering import Bars, write_plan, write_summary
    from jdsr_cli.restoration import crop_faces as run
    from jdsr_cli.restoration import plan_crops
    from jdsr_cli.settings import CropSettings

    settings = CropSettings(
        reading=reading(fps, stream, start, end, deinterlace, aspect),
        detector=detector.value,
        threshold=threshold,
        min_face=min_face,
        min_sharpness=min_sharpness,
        min_track=min_track,
        detection_scale=detection_scale,
        rotated_faces=rotated_faces,
        detect_every=detect_every,
        roi=rectangle(roi),
        smoothing=smoothing,
        identity=identity,
        segment=segment,
        device=device,
        force=force,
        resume=resume,
        size=size,
    )
    with Bars(quiet=quiet) as bars:
        if dry_run:
            plan = plan_crops(inputs, out, settings, bars)
        else:
            summary = run(inputs, out, settings, bars)
    if dry_run:
        write_plan(plan)
        raise typer.Exit(plan.exit_code)
    write_summary(summary, "exported")
    raise typer.Exit(summary.exit_code)
