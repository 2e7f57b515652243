"""The command `bundle`."""

from __future__ import annotations

from jdsr_cli.cli.options import with_options
from jdsr_cli.cli.terminal import write_line
from jdsr_cli.cli.verifying import Folders
from jdsr_cli.settings import BundleOptions, TerminalOptions


@with_options
def bundle(folders: Folders, options: BundleOptions, terminal: TerminalOptions) -> None:
    """Put results into one ZIP file, to hand them on.

    It holds the records, hashes, report and pictures of each result, the model
    card, and REPRODUCE.txt with the command that makes each result again. The
    same results give the same bytes. A result that is not as recorded is
    refused (exit code 7).
    """
    from jdsr_cli.cli.rendering import Bars
    from jdsr_cli.evidence.bundling import bundle as run

    with Bars(quiet=terminal.quiet) as bars:
        file = run(folders, options.out, media=options.media, progress=bars)
    write_line(f"{file}: {file.stat().st_size / 1e6:.1f} MB")
