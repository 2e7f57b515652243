"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

import typer

from jdsr_cli.errors import UsageError

if TYPE_CHECKING:
    from jdsr_cli.settings import ReadSettings


class DetectorChoice(StrEnum):
    """Who looks for faces."""

    AUTO = "auto"
    CENTERFACE = "centerface"
    RETINAFACE_MOBILE = "retinaface-mobile"
    RETINAFACE_R50 = "retinaface-r50"


class DeinterlaceChoice(StrEnum):
    """Which frames are deinterlaced."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


def _number(text: str) -> Fraction:
    """Read a number exactly: 25, 29.97 or 30000/1001."""
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise typer.BadParameter(f"{text!r} is no number") from error


def _seconds(text: str) -> Fraction:
    """Read a time: seconds, m:s or h:m:s."""
    total = Fraction(0)
    for part in text.split(":"):
        total = 60 * total + _number(part)
    return total


def _shape(text: str) -> Fraction:
    """Read a shape, width over height: 16:9, 4:3 or 2.35."""
    width, _, height = text.partition(":")
    try:
        return _number(width) / _number(height or "1")
    except ZeroDivisionError as error:
        raise typer.BadParameter(f"{text!r} is no shape of a picture") from error


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Videos, images, folders of them, quoted globs, or sequences such as shot_%05d.png.",
    ),
]
Detector = Annotated[
    DetectorChoice,
    typer.Option(help="auto: the one with the best measured recall of those here."),
]
Threshold = Annotated[
    float | None,
    typer.Option(help="Least score of a face, 0 to 1 [default: the detector's own]."),
]
MinFace = Annotated[
    float, typer.Option(metavar="PX", help="Refuse faces narrower than this in the frame.")
]
MinSharpness = Annotated[
    float, typer.Option(metavar="X", help="Refuse faces filmed less sharply than this, 0 to 1.")
]
MinTrack = Annotated[
    int, typer.Option(min=1, metavar="N", help="Refuse faces of people seen in fewer frames.")
]
DetectionScale = Annotated[
    float | None,
    typer.Option(help="Resize frames by this factor to look for faces [default: automatic]."),
]
RotatedFaces = Annotated[
    bool,
    typer.Option(
        "--rotated-faces", help="Search frames turned by 90, 180 and 270 degrees as well."
    ),
]
DetectEvery = Annotated[
    int,
    typer.Option(min=1, metavar="N", help="Look for faces in each N-th frame only."),
]
Roi = Annotated[
    str | None,
    typer.Option(
        metavar="X,Y,W,H",
        help="Look for faces in this part of the frame only, in pixels.",
    ),
]
Smoothing = Annotated[
    float,
    typer.Option(min=0.0, metavar="S", help="Seconds over which points are smoothed; 0: not."),
]
Identity = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Face network (TorchScript) that tells people apart."),
]
Fps = Annotated[
    Fraction | None,
    typer.Option(parser=_number, metavar="RATE", help="Frame rate of inputs that hold no times."),
]
Stream = Annotated[
    int | None, typer.Option(metavar="N", help="Which of several video streams, from 1.")
]
Start = Annotated[
    Fraction | None,
    typer.Option(parser=_seconds, metavar="TIME", help="Leave out what is before (s, m:s, h:m:s)."),
]
End = Annotated[
    Fraction | None,
    typer.Option(parser=_seconds, metavar="TIME", help="Leave out what is after (s, m:s, h:m:s)."),
]
Deinterlace = Annotated[
    DeinterlaceChoice, typer.Option(help="auto: frames that are flagged as interlaced.")
]
Aspect = Annotated[
    Fraction | None,
    typer.Option(
        parser=_shape,
        metavar="W:H",
        help="Shape in which the whole picture is displayed, where the file does not tell.",
    ),
]
Segment = Annotated[
    int,
    typer.Option(metavar="N", help="Frames between points at which an interrupted run can go on."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Force = Annotated[
    bool, typer.Option("--force", help="Replace earlier results, forget interrupted runs.")
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on with interrupted runs; leave out inputs that are done."),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Write nothing; tell what would be done and how long it takes."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.")]
Weights = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="Weights by name ('jdsr weights list') or file; auto is lite-camera, or on a GPU "
        "camera where it is here and beats that ('jdsr doctor').",
    ),
]


def reading(
    fps: Fraction | None,
    stream: int | None,
    start: Fraction | None,
    end: Fraction | None,
    deinterlace: DeinterlaceChoice,
    aspect: Fraction | None = None,
) -> ReadSettings:
    """Return how inputs are read."""
    from jdsr_cli.settings import ReadSettings

    return ReadSettings(
        frame_rate=fps,
        stream=stream,
        start=start,
        end=end,
        deinterlace=deinterlace.value,
        aspect=aspect,
    )


def rectangle(roi: str | None) -> tuple[int, int, int, int] | None:
    """Return the part of the frame that is looked at: four whole numbers between commas."""
    if roi is None:
        return None
    try:
        left, top, width, height = (int(part) for part in roi.split(","))
    except ValueError as error:
        raise UsageError(
            f"{roi!r} is no part of a frame", where="--roi", hint="Give LEFT,TOP,WIDTH,HEIGHT."
        ) from error
    return left, top, width, height
