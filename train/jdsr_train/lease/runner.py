"""Train the models of a plan on the leased machine, in a process that outlives the calls."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import JdsrError, TrainingError
from jdsr_train.lease.bundles import find_export
from jdsr_train.lease.files import PartsTable, print_line, tail
from jdsr_train.lease.plan import STAGES, Plan, PlannedModel
from jdsr_train.lease.workspace import (
    FAILED,
    READY,
    RUNNING,
    WAITING,
    LeaseWorkspace,
    ModelState,
    State,
    end_orphan,
    hold_lock,
    is_locked,
    process_environment,
    read_state,
    run_process,
    seconds_left,
    set_end,
)

LOCK = "runner.lock"
MIN_SECONDS = 1.0
"""Seconds below which no job is started."""
EXPORT_SECONDS = 60.0
"""Seconds for an export from a checkpoint."""
FIRST_SHARE = 0.25
"""Largest share of the remaining time for a preliminary stage."""
STAGE_ORDER = ("parser", "identity", "denoise", "joint")
"""Order in which `jdsr train` runs stages."""
PAUSE = 0.3
INTERRUPTED = 130


class Runner:
    """Runs a plan to its end; a model that fails does not stop it.

    Args:
        workspace: The workspace of this machine.

    Raises:
        InputMissingError: No part is installed yet.
        UsageError: The plan cannot be read.

    """

    def __init__(self, workspace: LeaseWorkspace) -> None:
        self.workspace = workspace
        self.plan: Plan = workspace.plan()
        self.table: PartsTable = workspace.table()
        self.state: State = read_state(workspace)
        self._orphan, self.state.process = self.state.process, 0
        before, self.state.models = self.state.models, {}
        for model in self.plan.models:
            state = before.get(model.name, ModelState())
            if state.state != READY:  # it was interrupted, or is tried again
                state = ModelState(first=[])
            self.state.models[model.name] = state
        self.state.done, self.state.job, self.state.runner = False, "", os.getpgrp()

    def run(self) -> None:
        """Train every model that is not ready; do nothing if another runner is active."""
        with hold_lock(self.workspace.out / LOCK) as free:
            if not free:
                return
            if self._orphan:
                end_orphan(self._orphan, self.workspace)
            self._save()
            self._log(f"{len(self.plan.models)} models, {self._seconds_to_train():.0f} s to train")
            for model in self.plan.models:
                if self.state.models[model.name].state == WAITING:
                    try:
                        self._run_model(model)
                    except (OSError, JdsrError) as error:
                        self._fail(model, str(error))
            self.state.done = True
            self._save()
            self._log("done")

    def _run_model(self, model: PlannedModel) -> None:
        if not self._wait_for_inputs(model):
            self._fail(model, "its inputs did not arrive in time")
            return
        source = self.plan.from_model(model)
        if source is not None and find_export(self.workspace.run_folder(source)) is None:
            self._fail(model, f"{source}, from which it starts, has no weights")
            return
        index = self.plan.models.index(model)
        later = sum(one.share for one in self.plan.models[index:])
        until = time.monotonic() + self._seconds_to_train() * model.share / later
        for stage in model.first:
            if stage not in self.state.models[model.name].first:
                self._run_preliminary(model, stage)
        remaining = until - time.monotonic()
        if remaining < MIN_SECONDS:
            self._fail(model, "no time was left")
            return
        self.state.models[model.name].state = RUNNING
        code = self._train(model, self._command(model, remaining), remaining)
        self._record_result(model, code)

    def _wait_for_inputs(self, model: PlannedModel) -> bool:
        """Wait for a model's inputs; meanwhile run preliminary stages whose inputs are complete."""
        while not all(
            self.workspace.has_all(self.table, kind) for kind in self._needed_inputs(model)
        ):
            if self._seconds_to_train() < MIN_SECONDS:
                return False
            ready = next(
                (
                    (one, stage)
                    for one in self.plan.models
                    for stage in one.first
                    if stage not in self.state.models[one.name].first
                    and all(self.workspace.has_all(self.table, kind) for kind in STAGES[stage])
                ),
                None,
            )
            if ready is not None:
                self._run_preliminary(*ready)
            else:
                time.sleep(PAUSE)
        return True

    def _needed_inputs(self, model: PlannedModel) -> tuple[str, ...]:
        return (*model.inputs, "weights")

    def _run_preliminary(self, model: PlannedModel, stage: str) -> None:
        seconds = min(self.plan.first_seconds, FIRST_SHARE * self._seconds_to_train())
        self.state.models[model.name].first.append(stage)
        if seconds < MIN_SECONDS:
            return
        command = self._command(model, seconds, stage)
        code = self._train(model, command, seconds, stage)
        self._log(f"{model.name}: stage {stage} ended with {code}")

    def _train(
        self, model: PlannedModel, command: list[str], seconds: float, stage: str = ""
    ) -> int:
        job = f"{model.name}{f', stage {stage}' if stage else ''}"
        self._log(f"{job}: {' '.join(command)}")

        def on_start(process: int) -> None:
            until = time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
            self.state.job, self.state.process = f"{job} until {until}", process
            self._save()

        try:
            log = self.workspace.log / f"{model.name}.txt"
            return run_process(command, self.workspace, log, seconds, on_start)
        finally:
            self.state.job, self.state.process = "", 0
            self._save()

    def _record_result(self, model: PlannedModel, code: int) -> None:
        """Record the result of a model; export its checkpoint if that is newer than its weights."""
        out = self.workspace.run_folder(model)
        export = find_export(out)
        checkpoint = out / "joint" / "checkpoint.pt"
        if code not in (0, INTERRUPTED) and checkpoint.is_file():
            newer = export is None or checkpoint.stat().st_mtime > export.exported
            if newer and self._export(model, checkpoint):
                export = find_export(out)
        if export is None:
            self._fail(model, f"jdsr train ended with {code} and left no weights")
            return
        note = "" if code == 0 else f"jdsr train ended with {code}; these are its last weights"
        self.state.models[model.name].state = READY
        self.state.models[model.name].note = note
        self._save()
        self._log(f"{model.name}: ready, {export.sha256[:12]} {note}")

    def _export(self, model: PlannedModel, checkpoint: Path) -> bool:
        """Export a checkpoint, in bfloat16 where a value is beyond float16."""
        command = [*self.plan.command_line, "weights", "export", str(checkpoint)]
        return any(
            self._train(model, [*command, "--precision", precision], EXPORT_SECONDS, "export") == 0
            for precision in ("float16", "bfloat16")
        )

    def _command(self, model: PlannedModel, seconds: float, stage: str = "") -> list[str]:
        data, given, out = self.workspace.data, self.table.given, self.workspace.run_folder(model)
        command = [*self.plan.command_line, "train", "--data", str(data / given["faces"])]
        for kind in model.uses:
            command += [f"--{kind}", str(data / given[kind])]
        recipe = self._recipe(model) if stage else self._training_recipe(model)
        command += ["--recipe", recipe, "--out", str(out)]
        command += ["--cache", str(self.workspace.out / "cache"), "--workers", str(self._workers())]
        command += ["--deadline", f"{max(1.0, seconds):.1f}"]
        if stage:
            return [*command, "--stage", stage]
        if model.init is not None:
            command += ["--init", str(self._init(model))]
        if model.reuse is not None:
            parser = self.workspace.run_folder(model.reuse) / "parser" / "parser.safetensors"
            command += ["--labels", str(parser) if parser.is_file() else "none"]
            if self._identity(model.reuse).is_file():
                command += ["--identity", str(self._identity(model.reuse))]
        return [*command, "--export-every", f"{model.export_every:g}", *model.options]

    def _init(self, model: PlannedModel) -> Path:
        source = self.plan.from_model(model)
        if source is None:
            return self.workspace.data / "weights" / f"{model.init}.safetensors"
        export = find_export(self.workspace.run_folder(source))
        assert export is not None
        return export.path

    def _identity(self, name: str) -> Path:
        return self.workspace.run_folder(name) / "identity" / "identity.safetensors"

    def _recipe(self, model: PlannedModel) -> str:
        if not model.recipe.endswith(".toml"):
            return model.recipe
        return str(self.workspace.common / Path(model.recipe).name)

    def _training_recipe(self, model: PlannedModel) -> str:
        """Return the recipe for the training of a model.

        If the identity network that it should reuse does not exist, that stage is added to the
        recipe: `jdsr train` then trains one in the remaining time, or skips it and records this.
        """
        recipe = self._recipe(model)
        owner = model.reuse or ("identity" in model.first and model.name)
        stages = self._stages(recipe)
        if not owner or self._identity(owner).is_file() or "identity" in stages:
            return recipe
        import tomli_w  # here, since `start` imports this module without the carried packages

        path = self.workspace.out / "recipes" / f"{Path(recipe).stem}.toml"
        ordered = [one for one in STAGE_ORDER if one == "identity" or one in stages]
        with atomic_file(path, make_folder=True) as temporary:
            text = tomli_w.dumps({"base": recipe, "stages": ordered})
            temporary.write_text(text, encoding="utf-8")
        return str(path)

    def _stages(self, recipe: str) -> list[str]:
        """Return the stages of a recipe, which can be those of its base."""
        path = Path(recipe)
        if path.suffix != ".toml":
            path = self.workspace.code / "train" / "recipes" / f"{recipe}.toml"
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        if "stages" in values or "base" not in values:
            return list(values.get("stages", ["joint"]))
        return self._stages(values["base"])

    def _workers(self) -> int:
        chosen = self.plan.workers
        return max(1, (os.cpu_count() or 2) - 1) if chosen is None else chosen

    def _seconds_to_train(self) -> float:
        """Return the remaining seconds for training."""
        return seconds_left(self.workspace) - self.plan.reserve

    def _fail(self, model: PlannedModel, why: str) -> None:
        self.state.models[model.name].state = FAILED
        self.state.models[model.name].note = why
        self._save()
        self._log(f"{model.name}: failed, {why}")

    def _save(self) -> None:
        self.state.save(self.workspace)

    def _log(self, text: str) -> None:
        print_line(f"{time.strftime('%H:%M:%S')} {text}")


START_TIMEOUT = 20.0
"""Seconds within which the runner must have started."""


def start_runner(seconds: float, workspace: LeaseWorkspace) -> subprocess.Popen[bytes] | None:
    """Record the remaining time of the lease, and start the runner if none is active.

    The runner has its own session, so that it outlives the call. A completed plan is not started
    again.

    Args:
        seconds: Remaining seconds of the lease.
        workspace: The workspace of this machine.

    Returns:
        The process of the runner; None if none was started.

    Raises:
        InputMissingError: No part is installed yet.
        TrainingError: The runner failed to start.

    """
    plan = workspace.plan()
    set_end(workspace, seconds)
    lock, log = workspace.out / LOCK, workspace.log / "runner.txt"
    if is_locked(lock):
        print_line(f"the plan is running; training ends in {seconds - plan.reserve:.0f} s")
        return None
    state = read_state(workspace)
    if state.models and all(one.state == READY for one in state.models.values()):
        print_line("all models are ready")
        return None
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        runner = subprocess.Popen(
            [sys.executable, "-m", "jdsr_train.lease", "run"],
            cwd=workspace.code, env=process_environment(workspace), stdin=subprocess.DEVNULL,
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    until = time.monotonic() + START_TIMEOUT
    while not _is_recorded(runner, workspace) and time.monotonic() < until:
        if runner.poll() is not None:
            break
        time.sleep(0.1)
    print_line(tail(log, 2000).decode(errors="replace").strip())
    if runner.poll():
        raise TrainingError(
            f"the runner ended with {runner.returncode}", where=log, hint="See its output"
        )
    print_line(f"the plan runs; training ends in {seconds - plan.reserve:.0f} s")
    return runner


def _is_recorded(runner: subprocess.Popen[bytes], workspace: LeaseWorkspace) -> bool:
    """Whether a runner has locked the workspace and written its process group to the state."""
    return is_locked(workspace.out / LOCK) and read_state(workspace).runner == runner.pid
