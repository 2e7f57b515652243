"""`jdsr weights`: list, verify, fetch, export."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="List, verify, fetch and export the weights of generators and detectors.",
)


class PrecisionChoice(StrEnum):
    """How the values of weights are kept."""

    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


@app.command("list")
def list_weights() -> None:
    """List what exists, what is on this machine, its licence and its measured quality.

    Carried files come with the package; others are fetched by name, see
    'jdsr weights fetch'.
    """
    from jdsr_cli.weights import AuxiliaryFile, conditions
    from jdsr_cli.weights.gates import CARRIED, figures, verdict

    found = conditions(hashed=False)
    known = {
        one.name: one.described for one in found if not isinstance(one.described, AuxiliaryFile)
    }
    for one in found:
        described = one.described
        where = one.path or ("MISSING" if one.carried else "not fetched")
        typer.echo(f"{one.name}: {where}")
        if isinstance(described, AuxiliaryFile):
            size = "size unknown" if described.bytes is None else _megabytes(described.bytes)
            typer.echo(f"    {described.purpose}, {size}, by others: {described.url}")
            continue
        typer.echo(
            f"    network {described.network}, {described.lr_size} px to 128 px "
            f"(x{described.scale}), {_megabytes(described.bytes)}, "
            f"{'carried' if described.carried else 'fetched by name'}"
        )
        typer.echo(f"    trained on {described.data} ({described.recipe}, {described.commit})")
        typer.echo(f"    licence: {described.licence}")
        if described.figures:
            shown = (f"{name} {value}" for name, value in described.figures.items())
            typer.echo(f"    measured: {', '.join(shown)}")
        if described.gates:
            typer.echo(
                f"    gates: {', '.join(figures(described))} ({described.gates['protocol']})"
            )
            typer.echo(f"    {verdict(described, known.get(CARRIED)).told}")


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Which; all by default.")
    ] = None,
) -> None:
    """Compare the size and SHA-256 of weight files with those recorded.

    Without names, files that nobody carries and that were never fetched are no fault.
    """
    from jdsr_cli.errors import EXIT_OK, WeightsError
    from jdsr_cli.weights import conditions

    faults = 0
    for one in conditions(names or (), hashed=True):
        if one.error is None:
            typer.echo(f"{one.name}: verified, {one.path}")
        elif one.state == "missing" and not one.carried and not names:
            typer.echo(f"{one.name}: not fetched")
        else:
            faults += 1
            typer.echo(f"{one.name}: {one.state.upper()}")
            typer.echo(f"error: {one.error}", err=True)
    raise typer.Exit(WeightsError.exit_code if faults else EXIT_OK)


@app.command()
def fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names that `jdsr weights list` shows.")
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FOLDER|ADDRESS",
            envvar="JDSR_WEIGHTS_SOURCE",
            help="Folder that has the files, or https:// address below which they lie.",
        ),
    ] = None,
) -> None:
    """Bring weight files into the cache and verify them.

    They come from --from, such as the folder weights of a checkout or a USB
    stick, or from the address that is recorded for a file. What is on this
    machine already is only verified.
    """
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.errors import EXIT_OK, JdsrError
    from jdsr_cli.weights import fetch as bring

    code = EXIT_OK
    with Bars() as bars:
        for name in names:
            try:
                typer.echo(f"{name}: verified, {bring(name, source, bars)}")
            except JdsrError as error:
                code = code or error.exit_code
                typer.echo(f"error: {error}", err=True)
    raise typer.Exit(code)


@app.command()
def export(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="joint/checkpoint.pt of a training run.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Weight file; its entry goes into manifest.toml beside it "
            "[RUN/weights/RECIPE.safetensors].",
        ),
    ] = None,
    precision: Annotated[
        PrecisionChoice, typer.Option(help="bfloat16 is for weights that float16 cannot hold.")
    ] = PrecisionChoice.FLOAT16,
) -> None:
    """Make weights of a training run that was stopped or died.

    They are the averaged ones of its last checkpoint and say at which step it
    was.
    """
    from jdsr_train.trained_generator import export_checkpoint

    typer.echo(f"exported: {export_checkpoint(checkpoint, out, precision.value)}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
