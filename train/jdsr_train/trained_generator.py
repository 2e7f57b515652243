"""The trained generator in the state of a joint stage, and its export as weights."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from jdsr_cli.errors import InputMissingError, TrainingError, UsageError
from jdsr_cli.networks import build
from jdsr_cli.progress import Progress
from jdsr_cli.settings import StoredPrecision
from jdsr_train import recipe_files
from jdsr_train.export import export_weights
from jdsr_train.recipe import Recipe
from jdsr_train.request import stage_weights_path
from jdsr_train.training import checkpoint
from jdsr_train.training.monitoring import last_validation

if TYPE_CHECKING:
    from jdsr_train.components import TrainingComponents
    from jdsr_train.training.trainer import Trainer


def export_metadata(components: TrainingComponents) -> dict[str, Any]:
    """Return the values that a checkpoint of the joint stage stores for the export of weights."""
    return {
        "recipe": recipe_files.to_dict(components.recipe),
        "arguments": components.generator_arguments(),
        "data": components.data_description(),
    }


@dataclass(frozen=True)
class TrainedGenerator:
    """The averaged generator of a joint stage at a step."""

    recipe: Recipe
    arguments: Mapping[str, Any]
    """Arguments of the network."""
    data: str
    """Description of the training data."""
    network: nn.Module
    step: int
    deviations: tuple[str, ...]
    """Differences from the paper, including an early end of the training."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any], where: str | Path) -> Self:
        """Build the averaged generator from `Trainer.state` or the content of a checkpoint.

        Args:
            state: State of a joint stage.
            where: Its origin, for errors.

        Raises:
            TrainingError: It belongs to another stage, or to a version that stored less.

        """
        try:
            metadata = state["about"]
            recipe = recipe_files.from_dict(dict(metadata["recipe"]), str(where))
            with torch.device("meta"):
                network = build(recipe.generator.network, dict(metadata["arguments"]))
            network.load_state_dict(state["average"], assign=True)
            step, deviations = int(state["step"]), tuple(state["deviations"])
            arguments, data = metadata["arguments"], metadata["data"]
        except (KeyError, TypeError, ValueError, RuntimeError, UsageError) as error:
            raise TrainingError(
                "contains no generator that this version can export",
                where=where,
                hint="Give joint/checkpoint.pt of a run of this version",
            ) from error
        last = recipe.optimiser.steps
        if step < last:
            deviations += (f"stopped at step {step:,} of {last:,}",)
        return cls(recipe, arguments, data, network.eval(), step, deviations)

    def export(
        self,
        path: Path,
        metrics: Mapping[str, float],
        gates: Mapping[str, object] | None = None,
        precision: StoredPrecision = "float16",
    ) -> None:
        """Write the weights and their manifest entry; see `export`."""
        export_weights(
            path, self.recipe, self.arguments, self.network, data=self.data, step=self.step,
            figures=metrics, deviations=self.deviations, gates=gates, precision=precision,
        )  # fmt: skip


def export_checkpoint(
    path: Path,
    out: Path | None = None,
    precision: StoredPrecision = "float16",
    progress: Progress | None = None,
) -> Path:
    """Export the checkpoint of a joint stage, for example of a run that was killed.

    Args:
        path: RUN/joint/checkpoint.pt; the metrics are read from the log beside it.
        out: The weight file; `RUN/weights/<recipe>.safetensors` when None.
        precision: See `save_network`.
        progress: Receives a note if the checkpoint has no hash.

    Returns:
        The weight file.

    Raises:
        InputMissingError: The checkpoint does not exist.
        TrainingError: It is damaged, belongs to another stage, or to a version that stored less.
        WeightsError: A parameter cannot be written in half precision.
        OutputError: The folder cannot be written.

    """
    if not path.is_file():
        raise InputMissingError("no such file", where=path)
    state = checkpoint.read(path)
    if progress is not None and not state[checkpoint.HASHED]:
        progress.note(f"{path}: {checkpoint.WITHOUT_HASH}")
    trained = TrainedGenerator.from_state(state, path)
    chosen = out or stage_weights_path(path.parent.parent, "joint", trained.recipe)
    trained.export(chosen, last_validation(path.parent), precision=precision)
    return chosen


class PeriodicExport:
    """Exports the averaged generator periodically during training.

    The weights are copied to the host between two steps and written by another thread.

    Args:
        path: The weight file.
        every: Seconds between exports.

    """

    def __init__(self, path: Path, every: float) -> None:
        self.path, self.every = path, every
        self._pool = ThreadPoolExecutor(1, "export")
        self._running: Future[None] | None = None
        self._next: float | None = None

    def __call__(self, trainer: Trainer) -> None:
        """Start an export if one is due and the previous one has ended."""
        now = time.monotonic()
        if self._next is None:
            self._next = now + self.every
        if now < self._next or not trainer.fabric.is_global_zero:
            return
        if self._running is not None and not self._running.done():
            return
        self._report_error(trainer)
        self._next = now + self.every
        trainer.monitor.check()
        state = trainer.state()
        average = {
            name: value.detach().to("cpu", copy=True) for name, value in state["average"].items()
        }
        self._running = self._pool.submit(
            self._export, {**state, "average": average}, last_validation(trainer.folder)
        )

    def close(self) -> None:
        """Wait for an export in progress."""
        self._pool.shutdown(wait=True)

    def _export(self, state: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        TrainedGenerator.from_state(state, self.path).export(self.path, metrics)

    def _report_error(self, trainer: Trainer) -> None:
        error = None if self._running is None else self._running.exception()
        if error is not None:
            trainer.progress.note(f"not exported: {error}")
