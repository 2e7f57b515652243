"""Reading of TOML files that anybody may have written, in bounded time and memory."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

MOST_BYTES = 1_000_000
"""Largest file."""
MOST_DOTS = 500
"""Most dots in a line: each part of a dotted key takes time for all parts before it."""


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Args:
        path: The file, UTF-8, at most `MOST_BYTES` long, with at most `MOST_DOTS` dots in a line.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no such TOML; the message is one line.

    """
    # To open a named pipe may wait for ever; the one of a shell's <(command) has no such path.
    if Path(os.path.realpath(path)).is_fifo():
        raise ValueError("it is a named pipe (FIFO), save it to a file")
    with path.open("rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.count(b".") > MOST_DOTS:
            raise ValueError(f"line {number} has more than {MOST_DOTS} dots")
    try:
        return tomllib.loads(data.decode())
    except RecursionError as error:
        raise ValueError("values are nested too deeply") from error
