"""`jdsr eval`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jdsr_cli.cli.choices import Device, Quiet
from jdsr_cli.errors import UsageError

if TYPE_CHECKING:
    from jdsr_cli.evaluation.comparison import Comparison

PLAIN_WIDTH = 100
"""Columns of a table that goes to a file or pipe."""


class DegradationChoice(StrEnum):
    """How the faces are made small."""

    PAPER = "paper"
    CAMERA = "camera"
    SHARP = "sharp"


def evaluate(
    data: Annotated[
        Path,
        typer.Option(
            metavar="TAR|DIR",
            help="Faces: an official CelebA folder, archives of aligned faces, a folder of "
            "pictures, or one that was prepared.",
        ),
    ],
    scale: Annotated[
        int | None, typer.Option(help="1, 2, 4 or 8 [that of the weights; lite and paper: 4].")
    ] = None,
    compare: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="bicubic, lite, paper, other weights by name or file; the first is what the "
            "others are compared with.",
        ),
    ] = "bicubic,lite",
    results: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DIR",
            help="Ready-made 128x128 pictures of another tool, named like the faces; repeatable.",
        ),
    ] = None,
    write_inputs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the inputs here as PNG, for other tools."),
    ] = None,
    degradation: Annotated[
        DegradationChoice,
        typer.Option(
            help="paper: bicubic; camera: what footage suffers; sharp: bare faces, bicubic or at "
            "scale 1 as they are, which should stay so."
        ),
    ] = DegradationChoice.PAPER,
    masks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Mask templates to wear [masks drawn by jdsr]."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val or test [test where the data has one].")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Evenly spaced faces instead of all.")
    ] = None,
    lpips: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|download",
            help="LPIPS by torchvision's alexnet, vgg16 or squeezenet1_1 state dict ('caffe' in "
            "its name: BGR 0-255), or by AlexNet, downloaded.",
        ),
    ] = None,
    lpips_heads: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Heads of LPIPS [the published ones].")
    ] = None,
    identity: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Identity by a TorchScript network, 112x112 as ArcFace takes it."
        ),
    ] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Landmark error by an ONNX network, 112x112 to 68 points."
        ),
    ] = None,
    groups: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="Figures of thirds of the faces as well, by lightness of the skin in the picture.",
        ),
    ] = "",
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the results.")
    ] = Path("jdsr-eval"),
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Decoded faces [cache in --out].")
    ] = None,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Faces at once.")] = 32,
    quiet: Quiet = False,
) -> None:
    """Measure restorers on faces with masks put on: PSNR and SSIM on Y, by region, and more.

    Every method sees the same pictures. Prints means with 95 % intervals,
    paired differences and on what share of the faces each method beats the
    first; writes results.json, scores.csv (one line a face) and
    sheet.png (input, each method, truth).
    """
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.evaluation.comparison import CompareRequest
    from jdsr_cli.evaluation.comparison import compare as run
    from jdsr_cli.weights import resolve_device

    request = CompareRequest(
        data=data,
        methods=_listed(compare),
        out=out,
        scale=scale,
        results=tuple(_named(one) for one in results or ()),
        write_inputs=write_inputs,
        degradation=degradation.value,
        masks=masks,
        split=split,
        limit=limit,
        lpips=lpips,
        lpips_heads=lpips_heads,
        identity=identity,
        landmarks=landmarks,
        groups=_listed(groups),
        cache=cache,
        device=str(resolve_device(device)),
        batch=batch,
    )
    with Bars(quiet=quiet) as bars:
        found = run(request, bars)
    _write(found)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name for name in map(str.strip, text.split(",")) if name)


def _named(text: str) -> tuple[str, Path]:
    name, sign, folder = text.partition("=")
    if not (name.strip() and sign and folder):
        raise UsageError(
            f"{text!r} is not NAME=DIR", where="--results", hint="Such as --results other=out/"
        )
    return name.strip(), Path(folder)


def _write(found: Comparison) -> None:
    from rich.console import Console

    from jdsr_cli.cli.eval_table import draw_table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(draw_table(found))
    typer.echo(f"{found.results}\n{found.per_face}\n{found.sheet}")
