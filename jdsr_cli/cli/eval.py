"""`jdsr eval`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jdsr_cli.cli.choices import Device, Quiet
from jdsr_cli.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from jdsr_train.compare import Comparison
    from jdsr_train.evaluation import Estimate

HEADINGS = {
    "psnr": ("PSNR", 2),
    "ssim": ("SSIM", 4),
    "psnr_crop": ("PSNR cropped", 2),
    "ssim_crop": ("SSIM cropped", 4),
    "psnr_covered": ("PSNR covered", 2),
    "ssim_covered": ("SSIM covered", 4),
    "psnr_beside": ("PSNR beside", 2),
    "ssim_beside": ("SSIM beside", 4),
    "psnr_unaltered": ("PSNR unaltered", 2),
    "lpips": ("LPIPS", 4),
    "identity": ("identity", 4),
    "landmark_error": ("landmarks, %", 2),
}
"""What the table calls each figure, and its decimals."""
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
        Path | None, typer.Option(metavar="FILE", help="Heads of LPIPS [torchmetrics'].")
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

    Every method sees the same pictures. Prints means with 95 % intervals and
    paired differences; writes results.json, scores.csv (one line a face) and
    sheet.png (input, each method, truth).
    """
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.weights import resolve_device
    from jdsr_train.compare import CompareRequest
    from jdsr_train.compare import compare as run

    request = CompareRequest(
        data=data,
        methods=tuple(name for name in map(str.strip, compare.split(",")) if name),
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
        cache=cache,
        device=str(resolve_device(device)),
        batch=batch,
    )
    with Bars(quiet=quiet) as bars:
        found = run(request, bars)
    _write(found)


def _named(text: str) -> tuple[str, Path]:
    name, sign, folder = text.partition("=")
    if not (name.strip() and sign and folder):
        raise UsageError(
            f"{text!r} is not NAME=DIR", where="--results", hint="Such as --results other=out/"
        )
    return name.strip(), Path(folder)


def _write(found: Comparison) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(_table(found))
    typer.echo(f"{found.results}\n{found.per_face}\n{found.sheet}")


def _table(found: Comparison) -> Table:
    """Lay out a heading for each figure with a line for each method below it."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    kinds = list(dict.fromkeys(row.faces for row in found.rows))
    paired = f"; difference: to {found.rows[0].method}, face by face"
    several = len(found.rows) > len(kinds)
    table = Table(
        title=f"{found.count} faces", title_justify="left", box=box.SIMPLE_HEAD,
        caption=escape(f"PSNR in dB{paired if several else ''}"),
        caption_justify="left",
    )  # fmt: skip
    table.add_column("", overflow="fold", min_width=14)
    for heading in ("mean", "95 %", "difference", "95 %")[: 4 if several else 2]:
        table.add_column(heading, justify="right", no_wrap=True)
    for kind in kinds:
        rows = [row for row in found.rows if row.faces == kind]
        if len(kinds) > 1:
            table.add_row(f"{kind} faces", style="bold underline")
        for figure, (heading, decimals) in HEADINGS.items():
            shown = [row for row in rows if figure in row.estimates]
            if shown:
                table.add_row(heading, style="bold")
            for row in shown:
                gain = row.differences.get(figure)
                table.add_row(
                    escape(f"  {row.method}"),
                    *_cells(row.estimates[figure], decimals, ""),
                    *(_cells(gain, decimals, "+") if gain else ()),
                )
        timed = [row for row in rows if row.scores.faces_per_second is not None]
        if timed:
            table.add_row("faces a second", style="bold")
        for row in timed:
            table.add_row(escape(f"  {row.method}"), f"{row.scores.faces_per_second:.1f}")
    return table


def _cells(one: Estimate, decimals: int, sign: str) -> tuple[str, str]:
    mean = f"{one.mean:{sign}.{decimals}f}"
    if one.low is None or one.high is None:
        return mean, ""
    return mean, f"{one.low:{sign}.{decimals}f} to {one.high:{sign}.{decimals}f}"
