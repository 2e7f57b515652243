"""A trained generator as a stage's state holds it, finished or not, and the weights made of it."""

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
from jdsr_cli.weights.state_dicts import Precision
from jdsr_train import checkpoint, recipes
from jdsr_train.export import export
from jdsr_train.logbook import last_validation
from jdsr_train.recipe import Recipe
from jdsr_train.request import weights_of

if TYPE_CHECKING:
    from jdsr_train.materials import Materials
    from jdsr_train.trainer import Trainer


def about(materials: Materials) -> dict[str, Any]:
    """Return what a checkpoint of the joint stage must hold besides its weights."""
    return {
        "recipe": recipes.to_dict(materials.recipe),
        "arguments": materials.generator_arguments(),
        "data": materials.described(),
    }


@dataclass(frozen=True)
class Trained:
    """The averaged generator of a joint stage at one of its steps."""

    recipe: Recipe
    arguments: Mapping[str, Any]
    """What the network is built from."""
    data: str
    """What it was trained on, in words."""
    network: nn.Module
    step: int
    deviations: tuple[str, ...]
    """In what the run differs from the recipe's paper, and that it was stopped where it was."""

    @classmethod
    def of_state(cls, state: Mapping[str, Any], where: str | Path) -> Self:
        """Take the averaged generator out of what `Trainer.state` returned or a checkpoint holds.

        Args:
            state: Of the joint stage.
            where: Named in errors.

        Raises:
            TrainingError: It is of another stage or of a version that kept less.

        """
        try:
            told = state["about"]
            recipe = recipes.from_dict(dict(told["recipe"]), str(where))
            with torch.device("meta"):
                network = build(recipe.generator.network, dict(told["arguments"]))
            network.load_state_dict(state["average"], assign=True)
            step, deviations = int(state["step"]), tuple(state["deviations"])
            arguments, data = told["arguments"], told["data"]
        except (KeyError, TypeError, ValueError, RuntimeError, UsageError) as error:
            raise TrainingError(
                "holds no generator that this version can export",
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
        figures: Mapping[str, float],
        gates: Mapping[str, object] | None = None,
        precision: Precision = "float16",
    ) -> None:
        """Write it as weights, and an entry of a manifest beside them; see `export`."""
        export(
            path, self.recipe, self.arguments, self.network, data=self.data, step=self.step,
            figures=figures, deviations=self.deviations, gates=gates, precision=precision,
        )  # fmt: skip


def export_checkpoint(
    path: Path, out: Path | None = None, precision: Precision = "float16"
) -> Path:
    """Make weights of the checkpoint of a joint stage, such as of a run that died.

    Args:
        path: RUN/joint/checkpoint.pt; figures are taken from the log beside it.
        out: The weight file; `RUN/weights/<recipe>.safetensors` where None.
        precision: See `save_network`.

    Returns:
        The weight file.

    Raises:
        InputMissingError: There is no such file.
        TrainingError: It is damaged, of another stage, or of a version that kept less.
        WeightsError: A parameter cannot be written in half precision.
        OutputError: The folder cannot be written.

    """
    if not path.is_file():
        raise InputMissingError("no such file", where=path)
    trained = Trained.of_state(checkpoint.read(path), path)
    chosen = out or weights_of(path.parent.parent, trained.recipe)
    trained.export(chosen, last_validation(path.parent), precision=precision)
    return chosen


class ExportsBeside:
    """Exports the average now and then while training goes on.

    The weights are copied to the host between two steps; writing them is another thread's work.

    Args:
        path: The weight file.
        every: Seconds from one export to the next.

    """

    def __init__(self, path: Path, every: float) -> None:
        self.path, self.every = path, every
        self._pool = ThreadPoolExecutor(1, "export")
        self._running: Future[None] | None = None
        self._next: float | None = None

    def __call__(self, trainer: Trainer) -> None:
        """Begin an export where one is due and the one before is done."""
        now = time.monotonic()
        if self._next is None:
            self._next = now + self.every
        if now < self._next or not trainer.fabric.is_global_zero:
            return
        if self._running is not None and not self._running.done():
            return
        self._tell(trainer)
        self._next = now + self.every
        trainer.watch.check()
        state = trainer.state()
        average = {
            name: value.detach().to("cpu", copy=True) for name, value in state["average"].items()
        }
        self._running = self._pool.submit(
            self._export, {**state, "average": average}, last_validation(trainer.folder)
        )

    def close(self) -> None:
        """Wait for an export that is still being written."""
        self._pool.shutdown(wait=True)

    def _export(self, state: Mapping[str, Any], figures: Mapping[str, float]) -> None:
        Trained.of_state(state, self.path).export(self.path, figures)

    def _tell(self, trainer: Trainer) -> None:
        error = None if self._running is None else self._running.exception()
        if error is not None:
            trainer.progress.note(f"not exported: {error}")
