"""The training loop: players take turns, weights are averaged, everything is kept to go on.

A step depends on the recipe, the data and its own number alone, so a run that was stopped and
resumed goes on exactly as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from jdsr_cli.errors import OutputError, UsageError
from jdsr_cli.progress import Progress, Silent
from jdsr_train import checkpoint
from jdsr_train.average import Average
from jdsr_train.data import Packed
from jdsr_train.fabric import Adapted, open_fabric
from jdsr_train.logbook import Logbook
from jdsr_train.meter import Meter, gradient_shares
from jdsr_train.schedule import optimiser, rate_at
from jdsr_train.task import Task, Turn
from jdsr_train.watch import Watch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CHECKPOINT = "checkpoint.pt"
SAVED_EVERY = 60.0
"""Seconds between checkpoints where no number of steps is asked for."""


@dataclass(frozen=True)
class RunSettings:
    """Where and how a recipe is run; none of it changes the result."""

    out: Path
    """Folder of the run; a folder in it for each stage."""
    device: str = "cpu"
    workers: int = 1
    """Processes that prepare samples, for each process that trains."""
    checkpoint_every: int | None = None
    """Steps; None saves where `SAVED_EVERY` seconds have passed at a step that is logged."""
    validate_every: int = 500
    """Steps; the terms' shares of the gradient are measured as often."""
    log_every: int = 50
    """Steps."""


class Trainer:
    """Runs one stage from its start or its last checkpoint.

    Args:
        task: The stage.
        settings: Where and how; the stage's files go into a folder of its name.
        identity: What the checkpoint must have been made with, as plain values: the parts of
            the recipe on which the stage depends.
        fabric: The run's processes and device; the only process when None.
        progress: Told of each step.

    """

    def __init__(
        self,
        task: Task,
        settings: RunSettings,
        identity: Mapping[str, Any],
        *,
        fabric: Fabric | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.task, self.settings, self.identity = task, settings, dict(identity)
        self.folder = settings.out / task.name
        self.progress = progress or Silent()
        self.fabric = fabric or open_fabric(settings.device)
        self.options = task.players[task.kept].options
        self.networks: dict[str, nn.Module] = {}
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        for name, player in task.players.items():
            network = player.network.to(memory_format=torch.channels_last)
            half = player.options.precision == "bfloat16"
            made = optimiser(network.parameters(), player.options)
            self.networks[name], self.optimisers[name] = self.fabric.setup(
                Adapted(network, half), made
            )
        self._average = Average(task.players[task.kept].network, self.options.ema)
        self._watch = Watch(task.name)
        self.step = 0
        self._whole = True
        self._saved: tuple[int, float] = (-1, time.monotonic())

    @property
    def average(self) -> nn.Module:
        """The averaged network of the kept player, in evaluation mode."""
        return self._average.network

    def run(self) -> nn.Module:
        """Train to the stage's last step and return the network that is kept.

        On Ctrl-C the state is saved before the exception goes on.

        Raises:
            TrainingError: A loss is not finite, which is found out before anything is logged or
                saved, or the checkpoint is of another recipe.
            OutputError: The output folder cannot be written.

        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the folder cannot be made ({error})", where=self.folder) from error
        self._resume()
        fabric, last = self.fabric, self.options.steps
        batches = self.task.batches(
            self.step, last, self.settings.workers, fabric.global_rank, fabric.world_size
        )
        logbook = Logbook(self.folder, self.step) if fabric.is_global_zero else None
        task = f"training {self.task.name}"
        self.progress.begin(task, last)
        self.progress.advance(task, self.step)
        try:
            if self.step and self._is_checked(self.step):
                self._validate(logbook)  # where it was stopped before it could
            self._loop(batches, task, logbook)
        except KeyboardInterrupt:
            # In the middle of an update the last checkpoint is the newest whole state. No
            # waiting for the other processes, which Ctrl-C may have met at another place.
            if self._whole:
                self._write()
            raise
        finally:
            self.progress.end(task)
            if logbook is not None:
                logbook.close()
        if self._saved[0] != self.step:
            self._save()
        return self.average

    def _loop(self, batches: Iterator[Packed[Any]], task: str, logbook: Logbook | None) -> None:
        settings, last = self.settings, self.options.steps
        meter = Meter(self.fabric)
        for batch in batches:
            checking = self._is_checked(self.step + 1)
            shares = (self.step + 1) % settings.validate_every == 0
            meter.add(self.advance(batch, shares=shares))
            self.progress.advance(task)
            logging = self.step % settings.log_every == 0 or self.step == last
            if logging or checking:
                self._watch.check()
            if logging:
                row = meter.read(self.options.batch)
                if logbook is not None:
                    logbook.record({"step": self.step, **row})
            if self._is_due(logging):
                self._save()
            if checking:
                self._validate(logbook)
                meter.restart()

    def _is_due(self, logging: bool) -> bool:
        """Whether to save; the first process's clock decides for all."""
        every = self.settings.checkpoint_every
        if every is not None:
            return self.step % every == 0
        late = logging and time.monotonic() - self._saved[1] >= SAVED_EVERY
        return bool(self.fabric.broadcast(late)) if logging else False

    def _is_checked(self, step: int) -> bool:
        return step % self.settings.validate_every == 0 or step >= self.options.steps

    def _validate(self, logbook: Logbook | None) -> None:
        if logbook is not None and not logbook.has_validation(self.step):
            figures = self.task.validate(self.average, self.step)
            if figures:
                logbook.record({"step": self.step, **figures})
                logbook.panel(self.step)
                listed = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
                self.progress.note(f"{self.task.name}, step {self.step}: {listed}")
        self.fabric.barrier()

    def advance(self, batch: Packed[Any], *, shares: bool = False) -> dict[str, Tensor]:
        """Take one step and return its terms, with their gradient shares where asked.

        Whether they are finite is not known before the next check.
        """
        found: dict[str, Tensor] = {}
        for turn in self.task.play(self.networks, batch.unpack(self.fabric.device), self.step):
            found |= turn.terms
            if shares and turn.player == self.task.kept:
                found |= gradient_shares(turn.terms, self.networks[turn.player].parameters())
            self._descend(turn)
        self.step += 1
        self._average.move(self.step)
        self._whole = True
        return found

    def _descend(self, turn: Turn) -> None:
        """Take one step of one player down its loss."""
        network, made = self.networks[turn.player], self.optimisers[turn.player]
        options = self.task.players[turn.player].options
        if not turn.terms:
            raise UsageError(
                f"no term of the loss moves the {turn.player} at step {self.step}",
                where=self.task.name,
                hint="Give a weight above 0 in the recipe's [loss]",
            )
        loss = torch.stack(list(turn.terms.values())).sum()
        for group in made.param_groups:
            group["lr"] = rate_at(self.step, options)
        made.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        norm = nn.utils.clip_grad_norm_(network.parameters(), options.clip or math.inf)
        self._watch.add(self.step, turn.player, turn.terms, norm)
        self._whole = False
        made.step()

    def state(self) -> dict[str, Any]:
        """Return all that a checkpoint holds."""
        return {
            "recipe": self.identity,
            "deviations": list(self.task.deviations),
            "step": self.step,
            "networks": {
                name: player.network.state_dict() for name, player in self.task.players.items()
            },
            "average": self.average.state_dict(),
            "optimisers": {name: made.state_dict() for name, made in self.optimisers.items()},
            "random": torch.get_rng_state(),
        }

    def _save(self) -> None:
        self._write()
        self.fabric.barrier()

    def _write(self) -> None:
        self._watch.check()
        self._saved = self.step, time.monotonic()
        if self.fabric.is_global_zero:
            checkpoint.save(self.folder / CHECKPOINT, self.state())

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        checkpoint.restore(path, checkpoint.load(path, self.identity), self._put)
        self.progress.note(f"{self.task.name}: resumed at step {self.step}")

    def _put(self, state: dict[str, Any]) -> None:
        for name, player in self.task.players.items():
            player.network.load_state_dict(state["networks"][name])
            self.optimisers[name].load_state_dict(state["optimisers"][name])
        self.average.load_state_dict(state["average"])
        torch.set_rng_state(state["random"])
        self.step = int(state["step"])
        self._saved = self.step, time.monotonic()
