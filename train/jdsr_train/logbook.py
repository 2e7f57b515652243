"""What a run tells of itself: a line of JSON for each record, curves, TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import OutputError
from jdsr_train.pictures import curves

LOG = "log.jsonl"
CURVES = "curves.png"
PANEL = "panel.png"


class Logbook:
    """Writes the records of one stage into its folder, from a given step on."""

    def __init__(self, folder: Path, first: int) -> None:
        self.folder = folder
        self._trim(first)
        self._board = _board(folder, first)
        self._panel_time = self._panel_state()

    def record(self, row: Mapping[str, float]) -> None:
        """Add a record; `step` is one of its figures."""
        path = self.folder / LOG
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(dict(row)) + "\n")
        except OSError as error:
            raise OutputError(f"the log cannot be written ({error})", where=path) from error
        if self._board is not None:
            for name, value in row.items():
                if name != "step":
                    self._board.add_scalar(name.replace("share_", "share/"), value, row["step"])

    def has_validation(self, step: int) -> bool:
        """Whether the log holds a validation of this step."""
        return any(row["step"] == step for row in _validations(self.folder))

    def panel(self, step: int) -> None:
        """Hand on the panel of pictures, where a validation has just drawn one."""
        state = self._panel_state()
        if self._board is not None and state is not None and state != self._panel_time:
            with Image.open(self.folder / PANEL) as picture:
                self._board.add_image(
                    "panel", np.asarray(picture.convert("RGB")), step, dataformats="HWC"
                )
        self._panel_time = state

    def close(self) -> None:
        """Let go of the files."""
        if self._board is not None:
            self._board.close()

    def _panel_state(self) -> int | None:
        path = self.folder / PANEL
        return path.stat().st_mtime_ns if path.exists() else None

    def _trim(self, step: int) -> None:
        """Drop what was logged after the checkpoint and will be logged again."""
        path = self.folder / LOG
        if path.exists():
            text = path.read_text(encoding="utf-8", errors="replace")
            kept = [line for line in text.splitlines(keepends=True) if _step(line) <= step]
            with atomic_file(path) as temporary:
                temporary.write_text("".join(kept), encoding="utf-8")


def draw_curves(folder: Path) -> None:
    """Draw the curves of what a stage has logged in its folder."""
    if (folder / LOG).exists():
        curves(folder / LOG, folder / CURVES)


def last_validation(folder: Path) -> dict[str, float]:
    """Return the figures of a stage's last validation, its step too; empty if there was none."""
    *_, last = {}, *_validations(folder)
    return last


def _validations(folder: Path) -> Iterator[dict[str, float]]:
    path = folder / LOG
    if path.exists():
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        yield from (row for row in rows if "validation_loss" in row)


def _step(line: str) -> float:
    """Return the step of a line; infinite where the line is half written or damaged."""
    try:
        return float(json.loads(line)["step"]) if line.endswith("}\n") else math.inf
    except (ValueError, TypeError, KeyError):
        return math.inf


def _board(folder: Path, first: int) -> Any:
    """Return TensorBoard's writer, or None where the package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=first + 1)
