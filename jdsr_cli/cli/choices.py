"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class DetectorChoice(StrEnum):
    """Who looks for faces."""

    AUTO = "auto"
    CENTERFACE = "centerface"
    RETINAFACE_MOBILE = "retinaface-mobile"
    RETINAFACE_R50 = "retinaface-r50"


Inputs = Annotated[
    list[str],
    typer.Argument(metavar="INPUT", help="Videos, images, folders of them, or quoted globs."),
]
Detector = Annotated[
    DetectorChoice,
    typer.Option(help="auto: RetinaFace where its weights are here, CenterFace otherwise."),
]
Threshold = Annotated[
    float | None,
    typer.Option(help="Least score of a face, 0 to 1 [default: the detector's own]."),
]
MinFace = Annotated[
    float, typer.Option(metavar="PX", help="Refuse faces narrower than this in the frame.")
]
DetectionScale = Annotated[
    float | None,
    typer.Option(help="Resize frames by this factor to look for faces [default: automatic]."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Force = Annotated[bool, typer.Option("--force", help="Replace earlier results of the same name.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.")]
Weights = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="Weights by name ('jdsr weights list') or file; auto is lite-camera.",
    ),
]
