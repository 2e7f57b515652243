"""At home: a whole lease played on this machine's CPU, with tiny networks and faults on request."""

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
from jdsr_train.lease import staging
from jdsr_train.lease.bundles import find_export
from jdsr_train.lease.checkout import carried_files, git, restore_weights
from jdsr_train.lease.files import digest, format_mib, print_line
from jdsr_train.lease.plan import Limits, Plan, read_plan, to_toml
from jdsr_train.lease.retrieval import ALL_RETRIEVED, MANIFEST, STOPPED, join, retrieved
from jdsr_train.lease.simulation import LOST, Reply, SimulatedMachine, tiny_recipe
from jdsr_train.lease.staging import Staged, StagingSources, stage_plan
from jdsr_train.lease.workspace import FAILED, READY, read_state
from jdsr_train.processes import sigterm_as_interrupt

INTO = ".lease"
RESERVE_SHARE = 0.12
MIDWAY_SHARE = 0.3
"""Of the time, after which the running model is asked for."""
EXPORT_SHARE = 0.02
LOST_AFTER = 0.1
LATE = 60.0
"""Seconds after the end of a lease at which a rehearsal gives up."""
BURNERS = 1
"""Other processes for each core, where the machine is slow."""
BURNER = "import os\nwhile os.getppid() == {parent}: pass"
"""Ends with the rehearsal, even where that is killed."""
SO_FAR = "-so-far"
"""Of the names of weights that a first lease brought home."""


class Rehearsal:
    """Plays leases of a plan in a scratch folder.

    Args:
        scratch: An empty folder.
        plan: With tiny recipes, whose files lie in `scratch / "plan"`.
        sources: What is staged.
        seconds: Of a lease.
        limits: Of its calls.

    """

    def __init__(
        self, scratch: Path, plan: Plan, sources: StagingSources, seconds: float, limits: Limits
    ) -> None:
        self.scratch, self.plan, self.sources = scratch, plan, sources
        self.seconds, self.limits = seconds, limits
        self.checkout, self.target = scratch / "checkout", scratch / "home"
        self.lines: list[tuple[str, Reply]] = []

    def lease(self, number: int, *, lost: bool = False) -> dict[str, str]:
        """Play one lease; return why each model that failed did.

        Args:
            number: Of the lease.
            lost: Whether the machine is taken back once something of the first model is home.

        Raises:
            TrainingError: A call failed, or a model that is ready is not home as it was made.

        """
        staged = self._stage()
        machine = SimulatedMachine(self.scratch / f"machine-{number}", self.checkout, self.limits)
        began = time.monotonic()
        try:
            for part in range(staged.table.parts):
                left = self.seconds - (time.monotonic() - began)
                call = staging.upload_calls(INTO, staged.table.parts, f"{left:.0f}")[part]
                self._call(machine, f"take {part + 1}", call)
            wait = MIDWAY_SHARE * self.seconds
            while True:
                left = self.seconds - (time.monotonic() - began)
                if left < -LATE:
                    raise TrainingError("the lease is over, and not everything is home")
                waited = round(min(wait, max(5.0, left)))
                call = staging.watch_call(INTO, waited, ["--midway", *self.limits.options])
                reply = self._call(machine, "watch --midway", call)
                if lost and retrieved(self.target):
                    self._call(machine, "watch, taken back", call, LOST_AFTER)
                    self.check_home()
                    return {}
                if ALL_RETRIEVED in reply.printed:
                    break
                if STOPPED in reply.printed:
                    raise TrainingError("the runner has ended before its plan was done")
                wait = staging.WATCHED
            print_line(f"home after {time.monotonic() - began:.0f} of {self.seconds:g} s")
            return self._ended(machine)
        finally:
            machine.take_back()

    def check_home(self) -> None:
        """Make sure that what is home is whole and is what its manifest says.

        Raises:
            TrainingError: It is not.

        """
        if not retrieved(self.target):
            return
        text = (self.target / MANIFEST).read_text(encoding="utf-8")
        entries = {one["file"]: one["sha256"] for one in tomllib.loads(text)["weights"]}
        for file, told in retrieved(self.target).items():
            if not entries.get(file) == told["sha256"] == digest(self.target / file):
                raise TrainingError("not what its manifest says", where=self.target / file)

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
        what: str,
        call: staging.Call,
        lost_after: float | None = None,
    ) -> Reply:
        reply = machine.call(call, lost_after)
        self.lines.append((what, reply))
        print_line(f"== {what}: {reply.code} after {reply.seconds:.1f} s\n{reply.printed.rstrip()}")
        if reply.code not in (0, LOST):
            raise TrainingError(f"ended with {reply.code}", where=call.command)
        if reply.code == 0:
            join(reply.files_at, self.target)
        return reply

    def _ended(self, machine: SimulatedMachine) -> dict[str, str]:
        """Compare what is home with what the machine has; return the models that failed."""
        self.check_home()
        state, there = read_state(machine.workspace), retrieved(self.target)
        for name, one in state.models.items():
            export = find_export(machine.workspace.run_folder(name))
            if one.state == READY and (export is None or not _is_home(export.sha256, there)):
                raise TrainingError(f"{name} is ready on the machine and not home")
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
    """Play all calls of a plan and print what they took; the checkout is not touched.

    Args:
        root: The checkout.
        plan_path: The plan.
        sources: What it needs.
        seconds: Of the lease.
        faults: `killed`, the machine is taken back in the middle and a second lease goes on with
            what is home; `failed`, a stage of the first model fails; `slow`, other processes
            take most of the machine.
        limits: Of a call.
        work: An empty folder to play in, which is left there; a temporary one where None.

    Returns:
        0 where everything that can be home is, 1 where it is not.

    Raises:
        UsageError: The plan or what it needs cannot work.

    """
    folder = tempfile.TemporaryDirectory(prefix="jdsr-rehearsal-")
    with sigterm_as_interrupt(), folder as temporary:
        scratch = (work or Path(temporary)).absolute()
        scratch.mkdir(parents=True, exist_ok=True)
        if any(scratch.iterdir()):
            raise UsageError("is not empty", where=scratch, hint="Choose another --work")
        plan, hopeless = _tiny_plan(read_plan(plan_path), plan_path, scratch, seconds, faults)
        played = Rehearsal(scratch, plan, sources, seconds, limits or Limits())
        _copy_checkout(root, played.checkout)
        fault = None
        try:
            with _busy("slow" in faults):
                if "killed" in faults:
                    played.lease(1, lost=True)
                    _go_on(played)
                failed = played.lease(2)
            restore_weights(played.checkout, played.checkout / INTO, None, remove=True)
            unexpected = {name: why for name, why in failed.items() if name not in hopeless}
            if unexpected:
                fault = "; ".join(f"{name}: {why}" for name, why in unexpected.items())
        except JdsrError as error:
            fault = str(error)
        _table(played.lines)
        without = f", but for {', '.join(sorted(hopeless))}, which was to fail" if hopeless else ""
        home_is = f"everything is home{without}; every SHA-256 is right"
        print_line(f"FAILED: {fault}" if fault else home_is)
        return 1 if fault else 0


def _tiny_plan(
    plan: Plan, plan_path: Path, scratch: Path, seconds: float, faults: Sequence[str]
) -> tuple[Plan, set[str]]:
    """Return a plan of tiny recipes for so much time, and the models that cannot succeed."""
    (scratch / "plan").mkdir()
    models, hopeless = [], set[str]()
    for place, model in enumerate(plan.models):
        own = model.recipe.endswith(".toml")
        recipe = str(plan_path.parent / model.recipe) if own else model.recipe
        text, fails = tiny_recipe(recipe, failing="failed" in faults and place == 0)
        if fails or plan.from_model(model) in hopeless:
            hopeless.add(model.name)
        (scratch / "plan" / f"{model.name}.toml").write_text(text, encoding="utf-8")
        every = max(1.0, min(model.export_every, EXPORT_SHARE * seconds))
        models.append(replace(model, recipe=f"{model.name}.toml", export_every=every))
    reserve = min(plan.reserve, RESERVE_SHARE * seconds)
    first = min(plan.first_seconds, MIDWAY_SHARE * seconds)
    workers = 0 if plan.workers is None else plan.workers
    changed = replace(
        plan, models=tuple(models), reserve=reserve, first_seconds=first, workers=workers
    )
    return changed, hopeless


def _go_on(played: Rehearsal) -> None:
    """Let the models whose weights are home start from them."""
    there, init = retrieved(played.target), dict(played.sources.init)
    models = []
    for model in played.plan.models:
        recipe = tomllib.loads(
            (played.scratch / "plan" / f"{model.name}.toml").read_text(encoding="utf-8")
        )
        file = f"{recipe['name']}.safetensors"
        if file in there:
            name = f"{recipe['name']}{SO_FAR}"
            init[name] = played.scratch / f"{name}.safetensors"
            shutil.copyfile(played.target / file, init[name])
            model = replace(model, init=name)
        models.append(model)
    played.plan = replace(played.plan, models=tuple(models))
    played.sources = replace(played.sources, init=init)


def _copy_checkout(root: Path, target: Path) -> None:
    """Copy what of a checkout travels, with a repository of its own."""
    git(root, "clone", "--quiet", "--shared", "--no-checkout", str(root.absolute()), str(target))
    for path in carried_files(root):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, target / path)  # with its mode, which git looks at
    git(target, "reset", "--quiet")


@contextmanager
def _busy(busy: bool) -> Iterator[None]:
    """Let other processes take most of the machine."""
    count = BURNERS * (os.cpu_count() or 1) if busy else 0
    words = [sys.executable, "-c", BURNER.format(parent=os.getpid())]
    running = [subprocess.Popen(words) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def _is_home(sha256: str, there: dict[str, dict[str, object]]) -> bool:
    return any(one["sha256"] == sha256 for one in there.values())


def _table(lines: Sequence[tuple[str, Reply]]) -> None:
    print_line(f"{'call':24} {'exit':>5} {'there':>10} {'files':>5} {'back':>10} {'seconds':>8}")
    for what, reply in lines:
        print_line(
            f"{what:24} {reply.code!s:>5} {format_mib(reply.sent):>10} {len(reply.brought):5} "
            f"{format_mib(sum(reply.brought)):>10} {reply.seconds:8.1f}"
        )
