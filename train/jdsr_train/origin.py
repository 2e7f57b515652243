"""Which state of the code is running, for the record of what it made."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from jdsr_cli import __version__

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds `train/`; of an installed package, one that is no checkout of it."""
STAGED = "COMMIT"
"""File in the root that names the commit, written by whoever copies the code without `.git`: one
line, the output of `git describe --always --dirty`."""


def commit(root: Path = ROOT) -> str:
    """Return the commit that the code in `root` is of, or its version where that is not known.

    The file `STAGED` comes first. Git is asked only where `root` is the top of its repository: an
    installed package may lie inside that of another project. ``-dirty`` is appended where tracked
    files differ from the commit.

    Args:
        root: Folder of the code.

    Returns:
        Such as ``7e9e3a6``, ``7e9e3a6-dirty`` or ``jdsr 0.1.0``.

    """
    return _staged(root) or _described(root) or f"jdsr {__version__}"


def _staged(root: Path) -> str:
    try:
        lines = (root / STAGED).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return ""
    return lines[0].strip()


def _described(root: Path) -> str:
    top = _git(root, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != root.resolve():
        return ""
    return _git(root, "describe", "--always", "--dirty", "--exclude=*")


def _git(root: Path, *arguments: str) -> str:
    """Return what git says in `root`, nothing where it fails or is not here."""
    # A hook's GIT_DIR would make git speak of the repository whose hook it is.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        found = subprocess.run(
            ["git", *arguments],
            cwd=root, env=environment, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
