"""`jdsr restore`."""

from __future__ import annotations

from enum import StrEnum
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
    Weights,
)


class ModeChoice(StrEnum):
    """What is written."""

    BOTH = "both"
    PASTE = "paste"
    CROPS = "crops"


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
    weights: Weights = "auto",
    detector: Detector = DetectorChoice.AUTO,
    threshold: Threshold = None,
    min_face: MinFace = 10.0,
    detection_scale: DetectionScale = None,
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
        str, typer.Option(help="Codec of the video: h264, hevc, ffv1 or source (the input's).")
    ] = "h264",
    crf: Annotated[
        int, typer.Option(min=0, max=51, help="Quality of the video: 0 best, 51 worst.")
    ] = 18,
    label: Annotated[
        bool, typer.Option("--label/--no-label", help="Small visible label on restored frames.")
    ] = True,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Take masks off faces in videos and images and enlarge them.

    Writes DIR/<name of the input>/ with restored.mp4 or restored.png,
    faces/*.png (input on the left, restored on the right), faces.jsonl and
    manifest.json. Inputs are never changed.

    Exit codes: 0 all done, 2 usage, 3 no input could be read, 4 some inputs
    failed, 5 weights missing or altered, 6 output cannot be written,
    130 interrupted.
    """
    from jdsr_cli.cli.rendering import Bars, write_summary
    from jdsr_cli.restoration import RestoreSettings
    from jdsr_cli.restoration import restore as run

    settings = RestoreSettings(
        detector=detector.value,
        threshold=threshold,
        min_face=min_face,
        detection_scale=detection_scale,
        device=device,
        scale=scale,
        mode=mode.value,
        weights=weights,
        frame_scale=frame_scale,
        batch=batch,
        precision=precision.value,
        codec=codec,
        crf=crf,
        label=label,
        force=force,
    )
    with Bars(quiet=quiet) as bars:
        summary = run(inputs, out, settings, bars)
    write_summary(summary, "restored")
    raise typer.Exit(summary.exit_code)
