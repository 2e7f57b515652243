"""What a folder of results contains beside the record of names."""

from __future__ import annotations

from pathlib import Path

from jdsr_cli.atomic import HIDDEN_FOLDER
from jdsr_cli.reporting import INDEX, REPORT

TIMED = ("manifest.json", REPORT, INDEX)
"""Files that state when a result was made."""


def results_in(out: Path) -> list[str]:
    """Return the names in a folder of results, hidden ones included.

    The folder that jdsr keeps for itself and the list of results are left out.
    """
    return sorted(path.name for path in out.iterdir() if path.name not in (HIDDEN_FOLDER, INDEX))
