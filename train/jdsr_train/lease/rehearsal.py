"""Rehearse a lease on the local CPU, with tiny networks and optional faults."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from jdsr_cli.errors import JdsrError, TrainingError, UsageError
from jdsr_cli.signals import interrupting_signals
from jdsr_cli.weights.registry import MANIFEST
from jdsr_train.lease.bundles import find_export
from jdsr_train.lease.checkout import carried_files, git, restore_weights
from jdsr_train.lease.files import digest, format_mib, print_line
from jdsr_train.lease.plan import (
    WATCH_SECONDS,
    Call,
    Limits,
    Plan,
    read_plan,
    to_toml,
    upload_calls,
    watch_call,
)
from jdsr_train.lease.retrieval import ALL_RETRIEVED, STOPPED, join, retrieved
from jdsr_train.lease.simulation import LOST, Reply, SimulatedMachine, tiny_recipe
from jdsr_train.lease.staging import Staged, StagingSources, stage_plan
from jdsr_train.lease.workspace import FAILED, READY, read_state

INTO = ".lease"
RESERVE_SHARE = 0.12
MIDWAY_SHARE = 0.3
"""Share of the time after which the running model is requested."""
EXPORT_SHARE = 0.02
LOST_AFTER = 0.1
MAX_OVERRUN = 60.0
"""Seconds after the end of a lease after which a rehearsal fails."""
LOAD_PROCESSES = 1
"""Additional busy processes for each core, to simulate a slow machine."""
LOAD_SCRIPT = "import os\nwhile os.getppid() == {parent}: pass"
"""Ends with the rehearsal, even if that is killed."""
SO_FAR = "-so-far"
"""Suffix of the names of weights that a first lease has returned."""


class Rehearsal:
    """Simulates leases of a plan in a scratch folder.

    Args:
        scratch: An empty folder.
        plan: A plan with tiny recipes, whose files are in `scratch / "plan"`.
        sources: The inputs of the plan.
        seconds: Duration of a lease.
        limits: Limits of its calls.

    """

    def __init__(
        self, scratch: Path, plan: Plan, sources: StagingSources, seconds: float, limits: Limits
    ) -> None:
        self.scratch, self.plan, self.sources = scratch, plan, sources
        self.seconds, self.limits = seconds, limits
        self.checkout, self.target = scratch / "checkout", scratch / "results"
        self.lines: list[tuple[str, Reply]] = []

    def lease(self, number: int, *, lost: bool = False) -> dict[str, str]:
        """Simulate one lease; return the models that failed, and why.

        Args:
            number: Number of the lease.
            lost: Whether the lease ends early, once weights of the first model are retrieved.

        Raises:
            TrainingError: A call failed, or the weights of a finished model were not retrieved.

        """
        staged = self._stage()
        machine = SimulatedMachine(self.scratch / f"machine-{number}", self.checkout, self.limits)
        start = time.monotonic()
        try:
            for part in range(staged.table.parts):
                remaining = self.seconds - (time.monotonic() - start)
                call = upload_calls(INTO, staged.table.parts, f"{remaining:.0f}")[part]
                self._call(machine, f"take {part + 1}", call)
            wait = MIDWAY_SHARE * self.seconds
            while True:
                remaining = self.seconds - (time.monotonic() - start)
                if remaining < -MAX_OVERRUN:
                    raise TrainingError("the lease has ended before all weights were retrieved")
                seconds = round(min(wait, max(5.0, remaining)))
                call = watch_call(INTO, seconds, ["--midway", *self.limits.options])
                reply = self._call(machine, "watch --midway", call)
                if lost and retrieved(self.target):
                    self._call(machine, "watch, lease ended", call, LOST_AFTER)
                    self.check_results()
                    return {}
                if ALL_RETRIEVED in reply.printed:
                    break
                if STOPPED in reply.printed:
                    raise TrainingError("the runner has ended before its plan was done")
                wait = WATCH_SECONDS
            print_line(f"retrieved after {time.monotonic() - start:.0f} of {self.seconds:g} s")
            return self._compare_with_machine(machine)
        finally:
            machine.reclaim()

    def check_results(self) -> None:
        """Check that the retrieved weights match their manifest.

        Raises:
            TrainingError: They do not.

        """
        if not retrieved(self.target):
            return
        text = (self.target / MANIFEST).read_text(encoding="utf-8")
        entries = {one["file"]: one["sha256"] for one in tomllib.loads(text)["weights"]}
        for file, record in retrieved(self.target).items():
            if not entries.get(file) == record["sha256"] == digest(self.target / file):
                raise TrainingError("does not match its manifest", where=self.target / file)

    def _stage(self) -> Staged:
        path = self.scratch / "plan" / "rehearsed.toml"
        path.write_text(to_toml(self.plan), encoding="utf-8")
        return stage_plan(
            self.checkout, path, self.sources, into=INTO, call_mib=self.limits.call_mib,
            aside=self.scratch / "aside",
        )  # fmt: skip

    def _call(
        self,
        machine: SimulatedMachine,
        name: str,
        call: Call,
        lost_after: float | None = None,
    ) -> Reply:
        reply = machine.call(call, lost_after)
        self.lines.append((name, reply))
        print_line(f"== {name}: {reply.code} after {reply.seconds:.1f} s\n{reply.printed.rstrip()}")
        if reply.code not in (0, LOST):
            raise TrainingError(f"ended with {reply.code}", where=call.command)
        if reply.code == 0:
            join(reply.files_at, self.target)
        return reply

    def _compare_with_machine(self, machine: SimulatedMachine) -> dict[str, str]:
        """Compare the retrieved weights with those on the machine; return the failed models."""
        self.check_results()
        state, received = read_state(machine.workspace), retrieved(self.target)
        for name, one in state.models.items():
            export = find_export(machine.workspace.run_folder(name))
            if one.state == READY and (
                export is None or not _is_retrieved(export.sha256, received)
            ):
                raise TrainingError(f"{name} is ready on the machine and was not retrieved")
        return {name: one.note for name, one in state.models.items() if one.state == FAILED}


def rehearse(
    root: Path,
    plan_path: Path,
    sources: StagingSources,
    *,
    seconds: float,
    faults: Sequence[str] = (),
    limits: Limits | None = None,
    work: Path | None = None,
) -> int:
    """Simulate all calls of a plan and print their sizes and times; the checkout is unchanged.

    Args:
        root: The checkout.
        plan_path: The plan.
        sources: The inputs of the plan.
        seconds: Duration of the lease.
        faults: `killed`: the lease ends early and a second one continues from its weights;
            `failed`: a stage of the first model fails; `slow`: other processes use the CPU.
        limits: Limits of a call.
        work: An empty folder for the rehearsal, which is kept; a temporary one when None.

    Returns:
        0 if all weights that can be retrieved were, otherwise 1.

    Raises:
        UsageError: The plan or its inputs are not valid.

    """
    folder = tempfile.TemporaryDirectory(prefix="jdsr-rehearsal-")
    with interrupting_signals(), folder as temporary:
        scratch = (work or Path(temporary)).absolute()
        scratch.mkdir(parents=True, exist_ok=True)
        if any(scratch.iterdir()):
            raise UsageError("is not empty", where=scratch, hint="Choose another --work")
        plan, expected_failures = _tiny_plan(
            read_plan(plan_path), plan_path, scratch, seconds, faults
        )
        rehearsal = Rehearsal(scratch, plan, sources, seconds, limits or Limits())
        _copy_checkout(root, rehearsal.checkout)
        fault = None
        try:
            with _cpu_load("slow" in faults):
                if "killed" in faults:
                    rehearsal.lease(1, lost=True)
                    _continue_from_results(rehearsal)
                failed = rehearsal.lease(2)
            restore_weights(rehearsal.checkout, rehearsal.checkout / INTO, None, remove=True)
            unexpected = {
                name: why for name, why in failed.items() if name not in expected_failures
            }
            if unexpected:
                fault = "; ".join(f"{name}: {why}" for name, why in unexpected.items())
        except JdsrError as error:
            fault = str(error)
        _print_table(rehearsal.lines)
        exception = (
            f" except {', '.join(sorted(expected_failures))}, which was expected to fail"
            if expected_failures
            else ""
        )
        success = f"everything was retrieved{exception}; every SHA-256 is correct"
        print_line(f"FAILED: {fault}" if fault else success)
        return 1 if fault else 0


def _tiny_plan(
    plan: Plan, plan_path: Path, scratch: Path, seconds: float, faults: Sequence[str]
) -> tuple[Plan, set[str]]:
    """Return the plan with tiny recipes for this time, and the models that are expected to fail."""
    (scratch / "plan").mkdir()
    models, expected_failures = [], set[str]()
    for index, model in enumerate(plan.models):
        is_file = model.recipe.endswith(".toml")
        recipe = str(plan_path.parent / model.recipe) if is_file else model.recipe
        text, fails = tiny_recipe(recipe, failing="failed" in faults and index == 0)
        if fails or plan.from_model(model) in expected_failures:
            expected_failures.add(model.name)
        (scratch / "plan" / f"{model.name}.toml").write_text(text, encoding="utf-8")
        every = max(1.0, min(model.export_every, EXPORT_SHARE * seconds))
        models.append(replace(model, recipe=f"{model.name}.toml", export_every=every))
    reserve = min(plan.reserve, RESERVE_SHARE * seconds)
    first = min(plan.first_seconds, MIDWAY_SHARE * seconds)
    workers = 0 if plan.workers is None else plan.workers
    changed = replace(
        plan, models=tuple(models), reserve=reserve, first_seconds=first, workers=workers
    )
    return changed, expected_failures


def _continue_from_results(rehearsal: Rehearsal) -> None:
    """Start models from their retrieved weights."""
    received, init = retrieved(rehearsal.target), dict(rehearsal.sources.init)
    models = []
    for model in rehearsal.plan.models:
        recipe = tomllib.loads(
            (rehearsal.scratch / "plan" / f"{model.name}.toml").read_text(encoding="utf-8")
        )
        file = f"{recipe['name']}.safetensors"
        if file in received:
            name = f"{recipe['name']}{SO_FAR}"
            init[name] = rehearsal.scratch / f"{name}.safetensors"
            shutil.copyfile(rehearsal.target / file, init[name])
            model = replace(model, init=name)
        models.append(model)
    rehearsal.plan = replace(rehearsal.plan, models=tuple(models))
    rehearsal.sources = replace(rehearsal.sources, init=init)


def _copy_checkout(root: Path, target: Path) -> None:
    """Copy the files that calls carry into a new repository."""
    git(root, "clone", "--quiet", "--shared", "--no-checkout", str(root.absolute()), str(target))
    for path in carried_files(root):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, target / path)  # with its mode, which git compares
    git(target, "reset", "--quiet")


@contextmanager
def _cpu_load(busy: bool) -> Iterator[None]:
    """Keep the CPU busy with other processes."""
    count = LOAD_PROCESSES * (os.cpu_count() or 1) if busy else 0
    command = [sys.executable, "-c", LOAD_SCRIPT.format(parent=os.getpid())]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _is_retrieved(sha256: str, received: dict[str, dict[str, object]]) -> bool:
    return any(one["sha256"] == sha256 for one in received.values())


def _print_table(lines: Sequence[tuple[str, Reply]]) -> None:
    print_line(f"{'call':24} {'exit':>5} {'sent':>10} {'files':>5} {'returned':>10} {'seconds':>8}")
    for name, reply in lines:
        print_line(
            f"{name:24} {reply.code!s:>5} {format_mib(reply.sent):>10} {len(reply.returned):5} "
            f"{format_mib(sum(reply.returned)):>10} {reply.seconds:8.1f}"
        )
