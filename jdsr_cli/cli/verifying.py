"""The command `verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from jdsr_cli.cli.options import with_options
from jdsr_cli.settings import VerifyOptions

Folders = Annotated[
    list[str],
    typer.Argument(
        metavar="DIR...", help="Folders of results, or folders that contain them, such as jdsr-out."
    ),
]


@with_options
def verify(folders: Folders, options: VerifyOptions) -> None:
    """Compare results with what was recorded when they were made.

    Computes the SHA-256 of every file again, counts the records anew and
    compares them with SHA256SUMS, manifest.json and each other, and names each
    file that was changed, is missing or was added. The input is compared where
    it is still at its place, and content credentials are verified offline.
    Nothing is changed.

    Exit codes: 0 everything is as recorded, 2 usage, 3 nothing is a result of
    jdsr, 4 some of the folders are none, 7 a result is not as recorded.
    """
    from jdsr_cli.cli.rendering import Bars, write_verification
    from jdsr_cli.evidence.verification import verify as run

    with Bars(quiet=options.quiet) as bars:
        verification = run(folders, frames=options.frames, trust=options.trust, progress=bars)
    write_verification(verification, notes=not options.quiet)
    raise typer.Exit(verification.exit_code)
