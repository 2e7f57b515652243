"""The training log of a stage: JSON Lines, TensorBoard, curves and rows of faces."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import OutputError
from jdsr_cli.synthesis.paper_degradation import resize_bicubic

LOG = "log.jsonl"
CURVES = "curves.png"
PANEL = "panel.png"


class TrainingLog:
    """Writes the records of a stage to `log.jsonl` in its folder and to TensorBoard.

    Args:
        folder: The folder of the stage.
        first: Step from which the stage continues; later records are removed.

    """

    def __init__(self, folder: Path, first: int) -> None:
        self.folder = folder
        self._trim(first)
        self._writer = _tensorboard_writer(folder, first)
        self._panel_time = self._panel_state()

    def record(self, row: Mapping[str, float]) -> None:
        """Append a record, whose values include `step`.

        Raises:
            OutputError: The log cannot be written.

        """
        path = self.folder / LOG
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(dict(row)) + "\n")
        except OSError as error:
            raise OutputError(f"the log cannot be written ({error})", where=path) from error
        if self._writer is not None:
            for name, value in row.items():
                if name != "step":
                    self._writer.add_scalar(name.replace("share_", "share/"), value, row["step"])

    def has_validation(self, step: int) -> bool:
        """Return whether the log contains a validation of this step."""
        return any(row["step"] == step for row in _validations(self.folder))

    def add_panel(self, step: int) -> None:
        """Add the panel of faces to TensorBoard if the validation has written a new one."""
        state = self._panel_state()
        if self._writer is not None and state is not None and state != self._panel_time:
            with Image.open(self.folder / PANEL) as picture:
                self._writer.add_image(
                    "panel", np.asarray(picture.convert("RGB")), step, dataformats="HWC"
                )
        self._panel_time = state

    def close(self) -> None:
        """Close the files."""
        if self._writer is not None:
            self._writer.close()

    def _panel_state(self) -> int | None:
        path = self.folder / PANEL
        return path.stat().st_mtime_ns if path.exists() else None

    def _trim(self, step: int) -> None:
        """Remove records after the checkpoint, which will be logged again."""
        path = self.folder / LOG
        if path.exists():
            text = path.read_text(encoding="utf-8", errors="replace")
            kept = [line for line in text.splitlines(keepends=True) if _step(line) <= step]
            with atomic_file(path) as temporary:
                temporary.write_text("".join(kept), encoding="utf-8")


def draw_curves(folder: Path) -> None:
    """Plot the training log of a stage into `curves.png` in its folder."""
    if (folder / LOG).exists():
        plot_log(folder / LOG, folder / CURVES)


def last_validation(folder: Path) -> dict[str, float]:
    """Return the metrics and the step of a stage's last validation; empty if there was none."""
    *_, last = {}, *_validations(folder)
    return last


def _validations(folder: Path) -> Iterator[dict[str, float]]:
    path = folder / LOG
    if path.exists():
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        yield from (row for row in rows if "validation_loss" in row)


def _step(line: str) -> float:
    """Return the step of a line; infinity if the line is incomplete or damaged."""
    try:
        return float(json.loads(line)["step"]) if line.endswith("}\n") else math.inf
    except (ValueError, TypeError, KeyError):
        return math.inf


def _tensorboard_writer(folder: Path, first: int) -> Any:
    """Return a TensorBoard writer, or None if the package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=first + 1)


def save_face_grid(rows: Sequence[Sequence[NDArray[np.uint8]]], path: Path) -> None:
    """Write rows of square (S, S, 3) RGB faces, each resized to 128 px, as one PNG.

    Low compression, since training waits: the file is 10 % larger and written in a quarter of the
    time.
    """
    grid = [np.hstack([resize_bicubic(face, 128) for face in row]) for row in rows]
    with atomic_file(path) as partial:
        Image.fromarray(np.vstack(grid)).save(partial, format="PNG", compress_level=1)


def plot_log(log: Path, path: Path) -> None:
    """Plot every value of a training log against the step; an empty log gives no file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    series: dict[str, list[tuple[float, float]]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        step = row.pop("step")
        for name, value in row.items():
            series.setdefault(name, []).append((step, value))
    if not series:
        return
    columns = 4
    rows = -(-len(series) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 2.6 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, points) in zip(axes.flat, sorted(series.items()), strict=False):
        axis.set_axis_on()
        axis.plot(*np.array(points).T, linewidth=1)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    figure.supxlabel("step", fontsize=9)
    figure.tight_layout()
    with atomic_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110)
    plt.close(figure)
