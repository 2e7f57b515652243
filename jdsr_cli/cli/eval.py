"""`jdsr eval`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jdsr_cli.cli.choices import Device, Quiet

if TYPE_CHECKING:
    from jdsr_train.compare import Comparison


class DegradationChoice(StrEnum):
    """How the faces are made small."""

    PAPER = "paper"
    CAMERA = "camera"


def evaluate(
    data: Annotated[
        Path,
        typer.Option(
            metavar="TAR|DIR",
            help="Aligned 128x128 faces, with landmarks68.npz or faces.csv beside them.",
        ),
    ],
    scale: Annotated[int, typer.Option(help="4 or 8; picks the weights compared by default.")] = 4,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...", help="Weights by name or file, and bicubic [bicubic,lite-x<scale>]."
        ),
    ] = None,
    degradation: Annotated[
        DegradationChoice, typer.Option(help="paper: bicubic; camera: what footage suffers.")
    ] = DegradationChoice.PAPER,
    masks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Mask templates to wear [masks drawn by jdsr]."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of a folder, the archives whose names start with this.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Evenly spaced faces instead of all.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the results.")
    ] = Path("jdsr-eval"),
    device: Device = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Faces at once.")] = 32,
    quiet: Quiet = False,
) -> None:
    """Measure restorers on faces with masks put on: PSNR and SSIM on Y, by region.

    Every method sees the same pictures. Writes results.json, scores.csv (one
    line a face) and sheet.png (input, each method, truth).
    """
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.weights import resolve_device
    from jdsr_train.compare import CompareRequest
    from jdsr_train.compare import compare as run

    request = CompareRequest(
        data=data,
        methods=tuple(name.strip() for name in (compare or f"bicubic,lite-x{scale}").split(",")),
        out=out,
        degradation=degradation.value,
        masks=masks,
        split=split,
        limit=limit,
        device=str(resolve_device(device)),
        batch=batch,
    )
    with Bars(quiet=quiet) as bars:
        found = run(request, bars)
    _write(found)


def _write(found: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{found.count} faces", title_justify="left")
    table.add_column("faces")
    table.add_column("method")
    for heading in ("PSNR dB", "SSIM", "covered dB", "beside dB"):
        table.add_column(heading, justify="right")
    for row in found.rows:
        means = row.scores.means()
        covered = means.get("psnr_covered")
        table.add_row(
            row.faces,
            row.method,
            f"{means['psnr']:.2f}",
            f"{means['ssim']:.4f}",
            "-" if covered is None else f"{covered:.2f}",
            f"{means['psnr_beside']:.2f}",
        )
    Console().print(table)
    typer.echo(f"{found.results}\n{found.per_face}\n{found.sheet}")
