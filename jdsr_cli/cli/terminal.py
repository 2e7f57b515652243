"""Lines and tables for the terminal: the only place from which commands write.

Names of files, fields of manifests, messages of FFmpeg and phrases of servers may hold anything:
commands for terminals, line breaks that forge a line of output, markup. `as_text` quotes them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from jdsr_cli.file_names import as_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def write_line(text: object = "") -> None:
    """Write one line to standard output."""
    sys.stdout.write(f"{as_text(str(text))}\n")
    sys.stdout.flush()


def write_notice(text: object) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"{as_text(str(text))}\n")


def write_error(message: object) -> None:
    """Write one line that begins with `error:` to standard error."""
    write_notice(f"error: {message}")


def open_console(*, errors: bool = False, width: int | None = None, wraps: bool = True) -> Console:
    """Return a console for tables and progress bars, whose styles reach the terminal.

    Args:
        errors: Whether it writes to standard error.
        width: Number of columns; None for those of the terminal.
        wraps: Whether longer lines are wrapped.

    """
    from rich.console import Console

    stream = sys.stderr if errors else sys.stdout
    return Console(
        file=getattr(stream, "styled", stream), width=width, soft_wrap=not wraps,
        highlight=False, emoji=False,
    )  # fmt: skip


def cell(*lines: object) -> Text:
    """Return lines for a table, its title or its caption, without markup."""
    from rich.text import Text

    return Text("\n".join(as_text(str(line)) for line in lines))
