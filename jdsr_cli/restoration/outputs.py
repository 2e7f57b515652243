"""Where the results of a run go: its folder, and a name in it for each input."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jdsr_cli.errors import OutputError

_NUMBER = re.compile(r"%0?[0-9]*d")
"""Where the name of an image sequence stands for a number."""


def prepare_folder(out: Path) -> Path:
    """Make `out` with its parents and prove that files can be written in it.

    Raises:
        OutputError: It cannot be made, is not a folder, or is read-only or full.

    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(b"jdsr")
            probe.flush()
    except OSError as fault:
        raise OutputError(
            f"nothing can be written here ({fault.strerror or fault})",
            where=out,
            hint="Choose another folder with --out, or free the disk.",
        ) from fault
    return out


def name_outputs(paths: Sequence[Path]) -> list[str]:
    """Give each input the stem of its name, with -2, -3, ... where a stem comes again.

    Of a sequence such as `shot_%05d.png` that is `shot`.

    Names that differ in case only count as the same, as they are on some file systems.
    """
    taken: set[str] = set()
    names: list[str] = []
    for path in paths:
        stem = _NUMBER.sub("", path.stem).strip(". _-") or "input"
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names
