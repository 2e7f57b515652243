"""`jdsr weights`: list, verify, fetch, export, chain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jdsr_cli.cli.options import with_options
from jdsr_cli.cli.terminal import write_error, write_line
from jdsr_cli.settings import ChainSettings, ExportSettings, FetchSettings

app = typer.Typer(
    no_args_is_help=True,
    help="List, verify, fetch, export and chain the weights of generators and detectors.",
)


@app.command("list")
def list_weights() -> None:
    """List all weights with their files on this machine, licences and measured quality.

    Carried files are part of the package; others are fetched by name, see
    'jdsr weights fetch'.
    """
    from jdsr_cli.weights import AuxiliaryFile, weight_status
    from jdsr_cli.weights.default import compare_gates, gate_figures
    from jdsr_cli.weights.registry import CARRIED

    found = weight_status(hashed=False)
    known = {
        one.name: one.described for one in found if not isinstance(one.described, AuxiliaryFile)
    }
    for one in found:
        described = one.described
        where = one.path or ("MISSING" if one.carried else "not fetched")
        write_line(f"{one.name}: {where}")
        if isinstance(described, AuxiliaryFile):
            size = "size unknown" if described.bytes is None else _megabytes(described.bytes)
            write_line(f"    {described.purpose}, {size}, by others: {described.url}")
            continue
        write_line(
            f"    network {described.network}, {described.lr_size} px to 128 px "
            f"(x{described.scale}), {_megabytes(described.bytes)}, "
            f"{'carried' if described.carried else 'fetched by name'}"
        )
        for precision, export in described.exports.items():
            write_line(f"    exported in {precision}: {export.file}, {_megabytes(export.bytes)}")
        write_line(f"    trained on {described.data} ({described.recipe}, {described.commit})")
        write_line(f"    licence: {described.licence}")
        if described.figures:
            shown = (f"{name} {value}" for name, value in described.figures.items())
            write_line(f"    measured: {', '.join(shown)}")
        if described.gates:
            write_line(
                f"    gates: {', '.join(gate_figures(described))} ({described.gates['protocol']})"
            )
            write_line(f"    {compare_gates(described, known.get(CARRIED)).description}")


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Names of weights; all by default."),
    ] = None,
) -> None:
    """Compare the size and SHA-256 of weight files with those recorded.

    Without names, optional files that were never fetched do not count as errors.
    """
    from jdsr_cli.errors import EXIT_OK, WeightsError
    from jdsr_cli.weights import weight_status

    faults = 0
    for one in weight_status(names or (), hashed=True):
        if one.error is None:
            write_line(f"{one.name}: verified, {one.path}")
        elif one.state == "missing" and not one.carried and not names:
            write_line(f"{one.name}: not fetched")
        else:
            faults += 1
            write_line(f"{one.name}: {one.state.upper()}")
            write_error(one.error)
    raise typer.Exit(WeightsError.exit_code if faults else EXIT_OK)


@app.command()
@with_options
def fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names that `jdsr weights list` shows.")
    ],
    settings: FetchSettings,
) -> None:
    """Copy or download weight files into the cache and verify them.

    They come from --from, such as the folder weights of a checkout or a USB
    stick, or from the address that is recorded for a file. Files that are
    already on this machine are only verified.
    """
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.errors import EXIT_OK, JdsrError
    from jdsr_cli.weights import fetch as fetch_file

    code = EXIT_OK
    with Bars() as bars:
        for name in names:
            try:
                write_line(f"{name}: verified, {fetch_file(name, settings.source, bars)}")
            except JdsrError as error:
                code = code or error.exit_code
                write_error(error)
    raise typer.Exit(code)


@app.command()
@with_options
def export(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="joint/checkpoint.pt of a training run.")
    ],
    settings: ExportSettings,
) -> None:
    """Export weights from a training run that was stopped or failed.

    They are the averaged weights of its last checkpoint and record its step.
    """
    from jdsr_cli.cli.rendering import Bars
    from jdsr_train.trained_generator import export_checkpoint

    with Bars() as bars:
        path = export_checkpoint(checkpoint, settings.out, settings.precision, bars)
    write_line(f"exported: {path}")


@app.command()
@with_options
def chain(
    denoiser: Annotated[
        str, typer.Argument(metavar="DENOISER", help="Name or file of the weights of a cbdnet.")
    ],
    super_resolver: Annotated[
        str,
        typer.Argument(
            metavar="SUPER_RESOLVER",
            help="Name or file of the weights of a drn, srfbn, sicnn, fsrnet or dic.",
        ),
    ],
    settings: ChainSettings,
) -> None:
    """Join a denoiser and a super-resolver into one weight file.

    These are the systems 'CBD + ...' with which the paper compares its own: masks are removed
    first, then the face is enlarged. The file can be evaluated and used like other weights.
    """
    from jdsr_train.chained_weights import chain_weights

    path = chain_weights(denoiser, super_resolver, settings.out, settings.precision)
    write_line(f"chained: {path}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
