"""The weights that a run has exported so far: a file and a manifest that belong together."""

from __future__ import annotations

import json
import os
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jdsr_train.lease.files import digest, tail

MANIFEST = "manifest.toml"
TRIES = 5
LOG_TAIL = 1 << 18


@dataclass(frozen=True)
class Export:
    """Weights, and what a manifest says of them."""

    path: Path
    manifest: str
    """Text of the manifest."""
    sha256: str
    exported: float
    """When, in seconds since 1970."""


def find_export(run: Path, keep: Path | None = None) -> Export | None:
    """Return the newest export of a run's folder; None where there is none, or none that is whole.

    File and manifest are replaced one after the other while a run goes on: they are looked at until
    they agree.

    Args:
        run: The run's folder.
        keep: A name on the same disk that keeps the file as it was looked at.

    """
    for attempt in range(TRIES):
        if attempt:
            time.sleep(0.5)
        found = _look(run / "weights", keep)
        if found is not None:
            return found
        if not (run / "weights").is_dir():
            return None
    return None


def _look(folder: Path, keep: Path | None) -> Export | None:
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        (entry,) = tomllib.loads(text)["weights"]
        path = folder / entry["file"]
        if keep is not None:
            keep.parent.mkdir(parents=True, exist_ok=True)
            keep.unlink(missing_ok=True)
            os.link(path, keep)
            path = keep
        exported = path.stat().st_mtime
        if digest(path) != entry["sha256"]:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Export(path, text, entry["sha256"], exported)


def rows(run: Path, stage: str = "joint") -> list[dict[str, Any]]:
    """Return the last records that a stage has logged."""
    found = []
    for line in tail(run / stage / "log.jsonl", LOG_TAIL).decode(errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # half a line, at either end
            continue
        if isinstance(row, dict) and "step" in row:
            found.append(row)
    return found


def last_step(run: Path) -> int:
    """Return the step of the joint stage that was logged last, 0 where none was."""
    found = rows(run)
    return int(found[-1]["step"]) if found else 0
