"""`jdsr restore`."""

from __future__ import annotations

from enum import StrEnum
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
    Weights,
    reading,
    rectangle,
)


class ModeChoice(StrEnum):
    """What is written."""

    BOTH = "both"
    PASTE = "paste"
    CROPS = "crops"


class CropsChoice(StrEnum):
    """Which pictures of single faces are written."""

    BEST = "best"
    ALL = "all"


class PrecisionChoice(StrEnum):
    """Arithmetic of the generator."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


def restore(
    inputs: Inputs,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")
    ] = Path("jdsr-out"),
    scale: Annotated[
        int, typer.Option(help="How many times larger crops and frames become: 4 or 8.")
    ] = 4,
    mode: Annotated[
        ModeChoice,
        typer.Option(help="Restored frames (paste), pictures of single faces (crops), or both."),
    ] = ModeChoice.BOTH,
    crops: Annotated[
        CropsChoice, typer.Option(help="The best pictures of each person, or every face as well.")
    ] = CropsChoice.BEST,
    shots: Annotated[
        int, typer.Option(min=1, max=100, metavar="N", help="Best single pictures of each person.")
    ] = 3,
    weights: Weights = "auto",
    detector: Detector = DetectorChoice.AUTO,
    threshold: Threshold = None,
    min_face: MinFace = 10.0,
    min_sharpness: MinSharpness = 0.05,
    min_track: MinTrack = 2,
    detection_scale: DetectionScale = None,
    rotated_faces: RotatedFaces = False,
    detect_every: DetectEvery = 1,
    roi: Roi = None,
    smoothing: Smoothing = 0.1,
    stabilise: Annotated[
        bool,
        typer.Option(
            "--stabilise/--no-stabilise", help="Blend faces along their track against flicker."
        ),
    ] = True,
    identity: Identity = None,
    start: Start = None,
    end: End = None,
    fps: Fps = None,
    stream: Stream = None,
    deinterlace: Deinterlace = DeinterlaceChoice.AUTO,
    aspect: Aspect = None,
    frame_scale: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=8,
            help="Factor for whole frames [default: --scale, less where that passes 4096 px].",
        ),
    ] = None,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Faces through the generator at once.")] = 32,
    precision: Annotated[
        PrecisionChoice, typer.Option(help="Arithmetic of the generator.")
    ] = PrecisionChoice.AUTO,
    codec: Annotated[
        str, typer.Option(help="h264, hevc, av1, ffv1 (lossless) or source (the input's).")
    ] = "h264",
    crf: Annotated[
        int | None,
        typer.Option(
            min=0, max=63, help="Quality of the video, 0 best [default: no visible loss]."
        ),
    ] = None,
    label: Annotated[
        bool, typer.Option("--label/--no-label", help="Small visible label on restored frames.")
    ] = True,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Write a second video with boxes and track numbers.")
    ] = False,
    segment: Segment = 240,
    resume: Resume = False,
    dry_run: DryRun = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Take masks off faces in videos and images and enlarge them.

    Writes DIR/<name of the input>/ with restored.mp4 or restored.png,
    faces/*.png (best pictures of each person and a fused one, input on the
    left, restored on the right), tracks.jsonl, faces.jsonl and manifest.json.
    Inputs are never changed.

    Exit codes: 0 all done, 2 usage, 3 no input could be read, 4 some inputs
    failed, 5 weights missing or altered, 6 output cannot be written,
    130 interrupted (--resume goes on).
    """
    from jdsr_cli.cli.rendering import Bars, write_plan, write_summary
    from jdsr_cli.restoration import plan_restore
    from jdsr_cli.restoration import restore as run
    from jdsr_cli.settings import RestoreSettings

    settings = RestoreSettings(
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
        scale=scale,
        mode=mode.value,
        crops=crops.value,
        shots=shots,
        weights=weights,
        stabilise=stabilise,
        frame_scale=frame_scale,
        batch=batch,
        precision=precision.value,
        codec=codec,
        crf=crf,
        label=label,
        overlay=overlay,
    )
    with Bars(quiet=quiet) as bars:
        if dry_run:
            plan = plan_restore(inputs, out, settings, bars)
        else:
            summary = run(inputs, out, settings, bars)
    if dry_run:
        write_plan(plan)
        raise typer.Exit(plan.exit_code)
    write_summary(summary, "restored")
    raise typer.Exit(summary.exit_code)
