"""The training loop: players take turns, weights are averaged, everything is kept to go on.

A step depends on the recipe, the data and its own number alone, so a run that was stopped and
resumed goes on exactly as one that was not. Where time is short, the clock moves the schedule on
instead, so that a stage ends in time with its rate at its end, whatever the speed turns out to be.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from jdsr_cli.errors import OutputError, UsageError
from jdsr_cli.progress import Progress, Silent
from jdsr_train import checkpoint
from jdsr_train.average import Average
from jdsr_train.clock import OutOfTimeError, StageClock
from jdsr_train.data.batches import Packed
from jdsr_train.fabric import Adapted, open_fabric
from jdsr_train.interrupting import InterruptedAtLimit, interrupted_at
from jdsr_train.logbook import Logbook
from jdsr_train.meter import Meter, gradient_shares
from jdsr_train.request import RunSettings
from jdsr_train.schedule import optimiser, rate_at
from jdsr_train.task import Moment, Task, Turn
from jdsr_train.watch import Watch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CHECKPOINT = "checkpoint.pt"
SAVED_EVERY = 60.0
"""Seconds between checkpoints where no number of steps is asked for."""
RECENT = 5
"""Steps whose longest tells what the next one may take."""
TRIAL_SHARE = 0.2
"""Of a stage's time, after which it is plain whether enough steps will fit."""


class Trainer:
    """Runs one stage from its start or its last checkpoint.

    Args:
        task: The stage.
        settings: Where and how; the stage's files go into a folder of its name.
        identity: What the checkpoint must have been made with, as plain values: the parts of
            the recipe on which the stage depends.
        fabric: The run's processes and device; the only process when None.
        progress: Told of each step.
        limit: Time of `time.monotonic` at which `run` must have returned, its last validation and
            checkpoint written; None: whenever the recipe's steps are done.
        least: Steps without which the stage is worth nothing; used with a limit.
        about: More for the checkpoint: what turns it into weights of its own.
        beside: Called after every step, such as to export the average now and then.

    """

    def __init__(
        self,
        task: Task,
        settings: RunSettings,
        identity: Mapping[str, Any],
        *,
        fabric: Fabric | None = None,
        progress: Progress | None = None,
        limit: float | None = None,
        least: int = 1,
        about: Mapping[str, Any] | None = None,
        beside: Callable[[Trainer], None] | None = None,
    ) -> None:
        self.limit, self.least, self.about = limit, least, dict(about or {})
        self._beside = beside
        self._clock: StageClock | None = None
        self._clocked = 0.0  # share of the schedule by the clock
        self._begun = 0.0  # share of the schedule that earlier runs have done by their clocks
        self._durations: deque[float] = deque(maxlen=RECENT)
        self._saving = 1.0  # seconds that a checkpoint takes
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
            adapted = Adapted(network, half, settings.compiled and name == task.kept)
            self.networks[name], self.optimisers[name] = self.fabric.setup(adapted, made)
        self._average = Average(task.players[task.kept].network, self.options.ema)
        self.watch = Watch(task.name)
        self.step = 0
        self._whole = True
        self._saved: tuple[int, float] = (-1, time.monotonic())

    @property
    def checkpoint(self) -> Path:
        """Where the stage's checkpoint is."""
        return self.folder / CHECKPOINT

    @property
    def average(self) -> nn.Module:
        """The averaged network of the kept player, in evaluation mode."""
        return self._average.network

    @property
    def moment(self) -> Moment:
        """The next step, and how much of the schedule is done: by steps or, further on, by time."""
        return Moment(self.step, max(self.step / self.options.steps, self._clocked))

    def run(self) -> nn.Module:
        """Train to the stage's last step, or to its limit, and return the network that is kept.

        On Ctrl-C the state is saved before the exception goes on.

        Raises:
            OutOfTimeError: With a limit: fewer than `least` steps fit.
            TrainingError: A loss is not finite, which is found out before anything is logged or
                saved, or the checkpoint is of another recipe.
            OutputError: The output folder cannot be written.

        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the folder cannot be made ({error})", where=self.folder) from error
        self._resume()
        self._start_clock()
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
            self._close(logbook)
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
        meter = Meter(self.fabric)
        try:
            with self._interrupted():
                self._take_steps(batches, meter, task, logbook)
        except InterruptedAtLimit:
            pass  # the step that was under way is not taken
        if self._clock is None or self.step == self.options.steps:
            return
        if self.step < self.least:
            raise self._out_of_time(self.step)
        self._clocked = 1.0
        if meter.steps:
            self.watch.check()
            self._log(meter, logbook)

    def _interrupted(self, until: float = math.inf) -> AbstractContextManager[None]:
        """Break off what is computed when there is no time for it, where that can be long."""
        clock = self._clock
        if clock is None or not self._is_alone_on_cpu:
            return nullcontext()
        return interrupted_at(lambda: clock.ends if math.isinf(until) else until)

    @property
    def _is_alone_on_cpu(self) -> bool:
        """Whether a step can be broken off: by one process, between layers that Python calls."""
        alone = self.fabric.device.type == "cpu" and self.fabric.world_size == 1
        return alone and not self.settings.compiled

    def _take_steps(
        self, batches: Iterator[Packed[Any]], meter: Meter, task: str, logbook: Logbook | None
    ) -> None:
        settings, last = self.settings, self.options.steps
        while self.step < last and self._has_time():
            began = time.monotonic()
            batch = next(batches)
            checking = self._is_checked(self.step + 1)
            shares = self._is_due_for_validation(self.step + 1)
            meter.add(self.advance(batch, shares=shares))
            self.progress.advance(task)
            logging = self.step % settings.log_every == 0 or self.step == last
            if logging or checking:
                self.watch.check()
            if logging:
                self._log(meter, logbook)
            self._durations.append(time.monotonic() - began)
            if self._is_due(logging):
                self._save()
            if self._beside is not None:
                self._beside(self)
            if checking:
                self._validate(logbook)
                meter.restart()

    def _log(self, meter: Meter, logbook: Logbook | None) -> None:
        row = meter.read(self.options.batch)
        if logbook is not None:
            logbook.record({"step": self.step, **row})

    def _start_clock(self) -> None:
        if self.limit is None:
            return
        # A schedule that the clock had brought to its end begins anew where its steps are.
        done = self.step / self.options.steps
        begun = self._begun if self._begun < 1 else done
        self._clock = StageClock(time.monotonic(), self.limit, max(begun, done))
        self._clock.keep(self._saving, 0.0)

    def _has_time(self) -> bool:
        """Move the schedule on by the clock; return whether there is time for another step.

        The first process's clock decides for all.

        Raises:
            OutOfTimeError: Fewer than `least` steps will fit.

        """
        clock = self._clock
        if clock is None:
            return True
        longest, usual = 0.0, 0.0
        if self._durations:
            longest, usual = max(self._durations), statistics.median(self._durations)
        share, left = clock.share_in(longest), clock.left
        if self.fabric.world_size > 1:
            share, left, longest, usual = self.fabric.broadcast((share, left, longest, usual))
        self._clocked = share
        clock.keep(self._saving, usual / self.options.batch)
        tried = left < (1 - TRIAL_SHARE) * (clock.ends - clock.begins)
        if tried and usual and self.step + left / usual < self.least:
            raise self._out_of_time(self.step + max(0, int(left / usual)))
        return left > (0.0 if self._is_alone_on_cpu else longest)

    def _out_of_time(self, steps: int) -> OutOfTimeError:
        few = "no step fits" if not steps else f"only {steps:,} of {self.options.steps:,} steps fit"
        return OutOfTimeError(
            f"{few} into the time of the stage",
            where=self.task.name,
            hint="Give more time (--deadline), or a recipe with smaller steps",
        )

    def _close(self, logbook: Logbook | None) -> None:
        """Measure what the clock ended between two validations."""
        if self._clock is not None and not self._is_checked(self.step):
            assert self.limit is not None
            self._validate(logbook, self.limit - 2 * self._saving)

    def _is_due(self, logging: bool) -> bool:
        """Whether to save; the first process's clock decides for all."""
        every = self.settings.checkpoint_every
        if every is not None:
            return self.step % every == 0
        late = time.monotonic() - self._saved[1] >= SAVED_EVERY
        if self.fabric.world_size == 1:
            return late
        return bool(self.fabric.broadcast(late)) if logging else False

    def _is_due_for_validation(self, step: int) -> bool:
        every = self.settings.validate_every
        return every is not None and step % every == 0

    def _is_checked(self, step: int) -> bool:
        return self._is_due_for_validation(step) or step >= self.options.steps

    def _validate(self, logbook: Logbook | None, until: float | None = None) -> None:
        if until is None:
            until = math.inf if self._clock is None else self._clock.ends
        if logbook is not None and not logbook.has_validation(self.step):
            try:
                with self._interrupted(until):
                    figures = self.task.validate(self.average, self.moment, until)
            except InterruptedAtLimit:
                figures = {}
                self.progress.note(f"{self.task.name}, step {self.step}: no time to measure it")
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
        for turn in self.task.play(self.networks, batch.unpack(self.fabric.device), self.moment):
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
            group["lr"] = rate_at(self.moment, options)
        made.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        norm = nn.utils.clip_grad_norm_(network.parameters(), options.clip or math.inf)
        self.watch.add(self.step, turn.player, turn.terms, norm)
        self._whole = False
        made.step()

    def state(self) -> dict[str, Any]:
        """Return all that a checkpoint holds."""
        return {
            "recipe": self.identity,
            "deviations": list(self.task.deviations),
            "about": self.about,
            "step": self.step,
            "share": self.moment.share,
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
        self.watch.check()
        began = time.monotonic()
        self._saved = self.step, began
        if self.fabric.is_global_zero:
            checkpoint.save(self.checkpoint, self.state())
            self._saving = time.monotonic() - began

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            return
        state = checkpoint.load(self.checkpoint, self.identity)
        checkpoint.restore(self.checkpoint, state, self._put)
        self.progress.note(f"{self.task.name}: resumed at step {self.step}")

    def _put(self, state: dict[str, Any]) -> None:
        for name, player in self.task.players.items():
            player.network.load_state_dict(state["networks"][name])
            self.optimisers[name].load_state_dict(state["optimisers"][name])
        self.average.load_state_dict(state["average"])
        torch.set_rng_state(state["random"])
        self.step, self._begun = int(state["step"]), float(state["share"])
        self._saved = self.step, time.monotonic()
