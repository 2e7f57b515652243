"""`jdsr weights`: list, verify, fetch."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, help="List, verify and fetch the weights of generators and detectors."
)


@app.command("list")
def list_weights() -> None:
    """List what exists, what is on this machine, its licence and its measured quality."""
    from jdsr_cli.weights import AuxiliaryFile, conditions

    for one in conditions(hashed=False):
        described = one.described
        where = str(one.path) if one.path else "not fetched" if not one.carried else "MISSING"
        typer.echo(f"{one.name}: {where}")
        if isinstance(described, AuxiliaryFile):
            size = "size unknown" if described.bytes is None else _megabytes(described.bytes)
            typer.echo(f"    {described.purpose}, {size}, by others: {described.url}")
            continue
        typer.echo(
            f"    network {described.network}, {described.lr_size} px to 128 px "
            f"(x{described.scale}), {_megabytes(described.bytes)}"
        )
        typer.echo(f"    trained on {described.data} ({described.recipe}, {described.commit})")
        typer.echo(f"    licence: {described.licence}")
        if described.figures:
            shown = (f"{name} {value}" for name, value in described.figures.items())
            typer.echo(f"    measured: {', '.join(shown)}")


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Which; all by default.")
    ] = None,
) -> None:
    """Compare the size and SHA-256 of weight files with those recorded.

    Without names, files of others that were never fetched are no fault.
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
) -> None:
    """Download weight files of others into the cache and verify them."""
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.errors import EXIT_OK, JdsrError
    from jdsr_cli.weights import obtain

    code = EXIT_OK
    with Bars() as bars:
        for name in names:
            try:
                typer.echo(f"{name}: verified, {obtain(name, bars)}")
            except JdsrError as error:
                code = code or error.exit_code
                typer.echo(f"error: {error}", err=True)
    raise typer.Exit(code)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
