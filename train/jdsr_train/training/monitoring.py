"""Monitor training: finite losses, running means, gradient shares, and the log of a stage.

Reading a number from a GPU waits for it. The values that the finite check needs therefore stay on
the device and are read together before anything is logged, validated or saved, so that no state
with a non-finite loss is stored.

The log is written as JSON Lines and for TensorBoard, with curves and rows of faces.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import OutputError, TrainingError
from jdsr_cli.synthesis.compression import resize_bicubic

if TYPE_CHECKING:
    from lightning_fabric import Fabric

HINT = "Lower the learning rate; the last checkpoint is intact"


@dataclass(frozen=True)
class _Entry:
    step: int
    model: str
    terms: tuple[str, ...]
    values: Tensor
    """The terms, then the gradient norm; on the training device."""


class FiniteMonitor:
    """Collects losses and gradient norms of a stage, and checks that they are finite.

    Args:
        stage: Name of the stage, for errors.

    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._entries: list[_Entry] = []

    def add(self, step: int, model: str, terms: Mapping[str, Tensor], norm: Tensor) -> None:
        """Collect the scalar loss terms and the gradient norm of an optimiser step."""
        values = torch.stack([*(value.detach().float() for value in terms.values()), norm.float()])
        self._entries.append(_Entry(step, model, tuple(terms), values))

    def check(self) -> None:
        """Check everything that was added since the last check, waiting for the device once.

        Raises:
            TrainingError: A value is not finite; the error names the first such step and its terms.

        """
        entries, self._entries = self._entries, []
        if not entries:
            return
        finite = iter(torch.isfinite(torch.cat([entry.values for entry in entries])).tolist())
        for entry in entries:
            flags = [next(finite) for _ in range(len(entry.values))]
            if not all(flags):
                raise self._error(entry, flags)

    def _error(self, entry: _Entry, flags: list[bool]) -> TrainingError:
        broken = [name for name, fine in zip(entry.terms, flags, strict=False) if not fine]
        if broken:
            return TrainingError(
                f"the loss is not finite at step {entry.step}: {', '.join(broken)}",
                where=self.stage,
                hint=HINT,
            )
        return TrainingError(
            f"the gradient is not finite at step {entry.step}",
            where=f"{self.stage}, {entry.model}",
            hint=HINT,
        )


class RunningMeans:
    """Means over all steps and processes since the last reset, and the training speed."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.reset()

    def reset(self) -> None:
        """Discard all values and restart the timer."""
        self._sums: dict[str, tuple[Tensor, int]] = {}
        self.steps, self._started = 0, time.monotonic()

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add the values of a step; each is averaged over the steps that have it."""
        self.steps += 1
        for name, value in values.items():
            total, count = self._sums.get(name, (torch.zeros_like(value), 0))
            self._sums[name] = total + value.detach(), count + 1

    def compute(self, batch: int) -> dict[str, float]:
        """Return the means and `samples_per_s`, and reset.

        Args:
            batch: Faces of a step.

        """
        speed = self.steps * batch / max(time.monotonic() - self._started, 1e-9)
        means = {name: float(total / count) for name, (total, count) in self._sums.items()}
        if self.fabric.world_size > 1 and means:
            local = torch.tensor(list(means.values()), device=self.fabric.device)
            shared = self.fabric.all_reduce(local, reduce_op="mean")
            assert isinstance(shared, Tensor)
            means = dict(zip(means, shared.tolist(), strict=True))
        self.reset()
        return {"samples_per_s": round(speed, 2), **means}


def gradient_shares(
    terms: Mapping[str, Tensor], parameters: Iterator[nn.Parameter]
) -> dict[str, Tensor]:
    """Return each term's share, 0 to 1, of the sum of the terms' gradient norms."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    norms: dict[str, Tensor] = {}
    for name, term in terms.items():
        if term.requires_grad:
            gradients = torch.autograd.grad(term, trained, retain_graph=True, allow_unused=True)
            squares = [(part.detach() ** 2).sum() for part in gradients if part is not None]
            if squares:
                norms[f"share_{name}"] = torch.stack(squares).sum().sqrt()
    total = sum(norms.values(), torch.zeros(())) + 1e-30
    return {name: norm / total for name, norm in norms.items()}


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
            with Image.open(self.folder / PANEL, formats=("PNG",)) as picture:
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
