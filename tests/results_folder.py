"""What a folder of results contains beside the record of names, and what a result contains."""

from __future__ import annotations

from pathlib import Path

from jdsr_cli.atomic import HIDDEN_FOLDER
from jdsr_cli.reporting import INDEX, REPORT

VARYING = ("manifest.json", REPORT, INDEX, "SHA256SUMS")
"""Files of a result that state times, or the hash of a file that does."""


def results_in(out: Path) -> list[str]:
    """Return the names in a folder of results, hidden ones included.

    The folder that jdsr keeps for itself and the list of results are left out.
    """
    return sorted(path.name for path in out.iterdir() if path.name not in (HIDDEN_FOLDER, INDEX))


def restored_in(result: Path) -> Path:
    """Return the restored video or picture of a result."""
    (path,) = (path for path in result.glob("restored.*") if path.suffix != ".framemd5")
    return path
