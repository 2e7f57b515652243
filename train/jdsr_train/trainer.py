"""The training loop: one generator, one objective, averaged weights, checkpoints, validation.

A step depends on the recipe, the faces and its own number alone, so a run that was stopped and
resumed goes on exactly as one that was not.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jdsr_cli.errors import OutputError, TrainingError, UsageError
from jdsr_cli.networks import build
from jdsr_cli.progress import Progress, Silent
from jdsr_train import checkpoint, objective
from jdsr_train.data import Batch, TrainingSamples
from jdsr_train.features import SqueezeNetFeatures
from jdsr_train.recipes import OptimiserRecipe, Recipe, to_dict
from jdsr_train.starting import start_from

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"

Validate = Callable[[nn.Module, int], dict[str, float]]
"""Measures a network in evaluation mode at a step; returns named figures."""


@dataclass(frozen=True)
class RunSettings:
    """Where and how a recipe is run; none of it changes the result."""

    out: Path
    """Folder of the checkpoint, the log and the pictures."""
    device: str = "cpu"
    workers: int = 1
    """Processes that prepare samples."""
    checkpoint_every: int = 250
    """Steps."""
    validate_every: int = 500
    """Steps."""
    log_every: int = 50
    """Steps."""


class Trainer:
    """Runs a recipe from its start or its last checkpoint."""

    def __init__(
        self,
        recipe: Recipe,
        samples: TrainingSamples,
        settings: RunSettings,
        *,
        initial: dict[str, Tensor] | None = None,
        features: SqueezeNetFeatures | None = None,
        validate: Validate | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.recipe, self.samples, self.settings = recipe, samples, settings
        if recipe.loss.features and features is None:
            raise UsageError(
                f"recipe {recipe.name} has a perceptual term and no features were given",
                hint="Give --features FILE, or set the term to 0",
            )
        self.features = None if features is None else features.to(settings.device)
        self.validate = validate
        self.progress = progress or Silent()
        torch.manual_seed(recipe.seed)
        self.network = build(recipe.generator.network, recipe.generator.arguments)
        given, wanted = samples.degrader.settings.lr_size, self.network.lr_size
        if given != wanted:
            raise UsageError(
                f"generator.scale makes inputs of {given} px and the network takes {wanted} px",
                where=f"recipe {recipe.name}",
                hint="Let scale be 128 divided by the network's lr_size",
            )
        if initial is not None:
            self.progress.note(start_from(self.network, initial))
        self.network.to(settings.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        options = recipe.optimiser
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), options.rate,
            betas=options.betas, weight_decay=options.weight_decay,
        )  # fmt: skip
        self.step = 0
        self._whole = True

    def run(self) -> nn.Module:
        """Train to the recipe's last step and return the averaged network.

        On Ctrl-C the state is saved before the exception goes on.

        Raises:
            TrainingError: A loss is not finite, or the checkpoint is of another recipe.
            OutputError: The output folder cannot be written.

        """
        out, options = self.settings.out, self.recipe.optimiser
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the folder cannot be made ({error})", where=out) from error
        self._resume()
        batches = self.samples.batches(
            options.batch, self.step, options.steps, self.settings.workers
        )
        task = f"training {self.recipe.name}"
        self.progress.begin(task, options.steps)
        self.progress.advance(task, self.step)
        try:
            self._loop(batches, task)
        except KeyboardInterrupt:
            # In the middle of an update the last checkpoint is the newest whole state.
            if self._whole:
                self._save()
            raise
        finally:
            self.progress.end(task)
        self._save()
        return self.average

    def _loop(self, batches: Any, task: str) -> None:
        settings, last = self.settings, self.recipe.optimiser.steps
        sums: dict[str, float] = {}
        counted, started = 0, time.monotonic()
        for batch in batches:
            found = self._advance(batch)
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            counted += 1
            self.progress.advance(task)
            if self.step % settings.log_every == 0 or self.step == last:
                speed = counted * self.recipe.optimiser.batch / (time.monotonic() - started)
                means = {name: total / counted for name, total in sums.items()}
                self._log({"step": self.step, "samples_per_s": round(speed, 2), **means})
                sums, counted, started = {}, 0, time.monotonic()
            if self.step % settings.checkpoint_every == 0:
                self._save()
            if self.validate and (self.step % settings.validate_every == 0 or self.step == last):
                figures = self.validate(self.average, self.step)
                self._log({"step": self.step, **figures})
                listed = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
                self.progress.note(f"step {self.step}: {listed}")
                started = time.monotonic()

    def _advance(self, batch: Batch) -> dict[str, Tensor]:
        options, device = self.recipe.optimiser, self.settings.device
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.step, options)
        batch = Batch(*(value.to(device, non_blocking=True) for value in vars(batch).values()))
        lr = batch.lr.contiguous(memory_format=torch.channels_last)
        half = options.precision == "bfloat16"
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
            output = self.network(lr)
        with torch.autocast(torch.device(device).type, enabled=False):
            late = self.step >= self.recipe.loss.perceptual_from * options.steps
            features = self.features if late else None
            found = objective.terms(output, batch, self.recipe.loss, features)
            loss = objective.total(found, self.step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), options.clip)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"the gradient is not finite at step {self.step}",
                hint="Lower the learning rate; the last checkpoint is intact",
            )
        self._whole = False
        self.optimiser.step()
        self.step += 1
        decay = min(options.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, fresh in zip(
                self.average.parameters(), self.network.parameters(), strict=True
            ):
                kept.lerp_(fresh, 1 - decay)
            for held, current in zip(self.average.buffers(), self.network.buffers(), strict=True):
                held.copy_(current)
        self._whole = True
        return found

    def _state(self) -> dict[str, Any]:
        return {
            "recipe": _plain(to_dict(self.recipe)),
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
        }

    def _save(self) -> None:
        checkpoint.save(self.settings.out / CHECKPOINT, self._state())

    def _resume(self) -> None:
        path = self.settings.out / CHECKPOINT
        if not path.exists():
            return
        state = checkpoint.load(path, _plain(to_dict(self.recipe)))
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
        self.step = int(state["step"])
        self._trim_log()
        self.progress.note(f"resumed at step {self.step}")

    def _trim_log(self) -> None:
        """Drop what was logged after the checkpoint and will be logged again."""
        path = self.settings.out / LOG
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("}\n")]
            kept = [line for line in whole if json.loads(line)["step"] <= self.step]
            path.write_text("".join(kept), encoding="utf-8")

    def _log(self, row: dict[str, float]) -> None:
        with (self.settings.out / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def rate_at(step: int, options: OptimiserRecipe) -> float:
    """Learning rate of a step: linear warm-up, then cosine to a hundredth of the peak."""
    if step < options.warmup:
        return options.rate * (step + 1) / options.warmup
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return options.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def _plain(value: Any) -> Any:
    """Turn tuples into lists, as they come back from JSON and TOML."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
