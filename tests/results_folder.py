"""What a folder of results contains beside the record of names."""

from __future__ import annotations

from pathlib import Path

from jdsr_cli.atomic import HIDDEN_FOLDER


def results_in(out: Path) -> list[str]:
    """Return the names in a folder of results, hidden ones included, without jdsr's own folder."""
    return sorted(path.name for path in out.iterdir() if path.name != HIDDEN_FOLDER)
