"""Leases: plans, staged parts within limits, and retrieval of weights in pieces."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from jdsr_cli.errors import (
    DatasetError,
    InputMissingError,
    OutputError,
    UsageError,
    WeightsCorruptError,
)
from jdsr_cli.weights import read_manifest
from jdsr_train import recipe_files
from jdsr_train.lease import workspace
from jdsr_train.lease.__main__ import main
from jdsr_train.lease.bundles import read_bundle
from jdsr_train.lease.checkout import commit_of, restore_weights, tree_size
from jdsr_train.lease.files import FIXED_TIME, MIB, digest
from jdsr_train.lease.intake import missing_files, take_part
from jdsr_train.lease.plan import STAGES, Call, Limits, Plan, PlannedModel, read_plan, to_toml
from jdsr_train.lease.retrieval import join, retrieved, watch
from jdsr_train.lease.runner import LOCK, Runner, start_runner
from jdsr_train.lease.simulation import TIMED_OUT, SimulatedMachine
from jdsr_train.lease.staging import Staged, StagingSources, print_summary, stage_plan
from jdsr_train.lease.workspace import (
    FAILED,
    READY,
    RUNNING,
    LeaseWorkspace,
    ModelState,
    is_locked,
    read_state,
    set_end,
)

ROOT = Path(__file__).parents[2]
PLANS = sorted((ROOT / "train" / "gpu" / "plans").glob("*.toml"))
FAKE_TRAINING = Path(__file__).with_name("fake_training.py")
CALL = 2.8
"""Limit of the files of a call in MiB."""
PLAN = f"""
reserve = 0
first_seconds = 3
workers = 0
command = {json.dumps([sys.executable, str(FAKE_TRAINING)])}

[[model]]
name = "one"
recipe = "one.toml"
uses = ["masks", "parsing"]
first = ["parser"]
init = "carried"
export_every = 1
"""
RECIPE = 'name = "fine"\n[parser.optimiser]\n[identity.optimiser]\n[optimiser]\n'


def write(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(path.name).randbytes(size))
    return path


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@b.c")
    return subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the layout of this one."""
    root = tmp_path / "checkout"
    for name in ("train/jdsr_train/__init__.py", "jdsr_cli/__init__.py", "train/recipes/near.toml"):
        write(root / name, 10)
    write(root / "weights" / "carried.safetensors", 800_000)
    write(root / "weights" / "other.safetensors", 900_000)
    (root / "weights" / "manifest.toml").write_text("", encoding="utf-8")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "all")
    return root


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plans" / "plan.toml"
    path.parent.mkdir()
    path.write_text(PLAN, encoding="utf-8")
    (path.parent / "one.toml").write_text(RECIPE, encoding="utf-8")
    return path


@pytest.fixture
def sources(tmp_path: Path) -> StagingSources:
    faces = tmp_path / "faces9"
    for name in ("train-0.tar", "train-1.tar"):
        write(faces / name, int(2.4 * MIB))
    for name in ("val.tar", "test.tar", "faces.csv", "landmarks68.npz"):
        write(faces / name, 5000)
    masks = tmp_path / "templates"
    write(masks / "templates.json", 300)
    return StagingSources(faces, masks, None, write(tmp_path / "parts.tar", 200_000))


@pytest.fixture
def staged(checkout: Path, plan: Path, sources: StagingSources, tmp_path: Path) -> Staged:
    return stage_plan(checkout, plan, sources, call_mib=CALL, aside=tmp_path / "aside")


@pytest.fixture
def lease_workspace(tmp_path: Path) -> LeaseWorkspace:
    return LeaseWorkspace(tmp_path / "machine")


def take_all(checkout: Path, staged: Staged, lease_workspace: LeaseWorkspace) -> None:
    for part in range(1, staged.table.parts + 1):
        take_part(part, checkout / ".lease", checkout, lease_workspace)


# Plans


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_recipes_of_every_plan_load(path: Path) -> None:
    for model in read_plan(path).models:
        recipe = recipe_files.load(model.recipe)
        assert "masks" in model.uses
        assert ("features" in model.uses) == bool(recipe.loss.features)
        labelled = recipe.loss.prior > 0
        assert ("parsing" in model.uses or model.reuse is not None) == labelled
        own = [stage for stage in STAGES if stage in recipe.stages]
        needed = [
            stage
            for stage, weight in (
                ("parser", recipe.loss.prior),
                ("identity", recipe.loss.identity),
            )
            if weight > 0
        ]
        if model.reuse is None:
            assert set(needed) <= {*own, *model.first}
        assert recipe.camera.video == 0 or recipe.data.degradation == "paper"


def test_the_runbook_lists_every_plan() -> None:
    runbook = (ROOT / "train" / "gpu" / "README.md").read_text(encoding="utf-8")
    assert len(PLANS) == 4
    for path in PLANS:
        assert f"`{path.stem}`" in runbook
        assert read_plan(path).models


def test_a_plan_can_be_written_and_read_again(plan: Path, tmp_path: Path) -> None:
    for path in (plan, *PLANS):
        (tmp_path / "again.toml").write_text(to_toml(read_plan(path)), encoding="utf-8")
        assert read_plan(tmp_path / "again.toml") == read_plan(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("reserve =", "reserv ="), "plan.toml: unknown key 'reserv'. Nearest: reserve"),
        (("uses =", "use ="), r"\[\[model\]\] 1: unknown key 'use'. Nearest: uses"),
        (('"parsing"]', '"parsin"]'), "unknown 'parsin'. Nearest: parsing"),
        (('["parser"]', '["joint"]'), "first: unknown 'joint'"),
        (("reserve = 0", "reserve = -1"), "must not be negative"),
        (("reserve = 0", 'reserve = "x"'), "'x' is not of type float"),
        (("workers = 0", "workers = true"), r"True is not of type int"),
        (('recipe = "one.toml"', ""), "the key 'recipe' is missing"),
        (("init =", "reuse ="), "'carried' is not a model before one"),
        (('"carried"', '"one"'), "'one' is trained later"),
        (("[[model]]", "[model]"), "models are tables"),
        (("[[model]]", "[[models]]"), r"unknown key 'models'. Nearest: \[\[model\]\]"),
        (('name = "one"', 'name = "../x"'), "cannot be a model's name"),
        (("export_every = 1", "export_every = 0"), "export_every at least 1"),
        (("reserve", "= reserve"), "not readable as TOML"),
    ],
)
def test_invalid_plans_are_errors(change: tuple[str, str], message: str, plan: Path) -> None:
    text = plan.read_text(encoding="utf-8")
    assert change[0] in text
    plan.write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_plan(plan)


def test_missing_and_empty_plans_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="no such plan"):
        read_plan(tmp_path / "plan.toml")
    with pytest.raises(UsageError, match="needs at least one"):
        Plan(())
    with pytest.raises(UsageError, match="'a' occurs twice"):
        Plan((PlannedModel("a"), PlannedModel("a", name="b")))


# Staging parts


def test_every_call_is_within_its_limit_and_the_first_needed_files_come_first(
    staged: Staged, checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tree_size(checkout)
    for number, stated in enumerate(staged.sizes, 1):
        carried = [checkout / ".lease" / name for name in ("common", f"part-{number}")]
        files = [path for folder in carried for path in folder.rglob("*") if path.is_file()]
        size = tree + sum(path.stat().st_size for path in files)
        assert size == stated <= CALL * MIB
    assert len(staged.sizes) == 3
    order = [file.path for file in staged.table.files]
    assert order == [
        "parsing/parts.tar", "masks/templates/templates.json", "weights/carried.safetensors",
        "weights/manifest.toml", "faces/faces9/faces.csv", "faces/faces9/landmarks68.npz",
        "faces/faces9/val.tar", "faces/faces9/train-0.tar", "faces/faces9/train-1.tar",
    ]  # fmt: skip
    first = [file.path for file in staged.table.files if file.pieces[0].part == 1]
    assert first == order[:8]
    assert print_summary(staged, CALL)
    printed = capsys.readouterr().out
    assert "take 3 --lease .lease" in printed
    assert printed.index("take 3") < printed.index("watch 560") < printed.index("unstage")
    assert not print_summary(staged, 1.0)
    assert "TOO LARGE" in capsys.readouterr().out


def test_staged_files_have_a_hash_a_fixed_time_and_a_commit(
    staged: Staged, checkout: Path, sources: StagingSources
) -> None:
    by_path = {file.path: file for file in staged.table.files}
    split_file = by_path["faces/faces9/train-0.tar"]
    assert len(split_file.pieces) == 2
    assert split_file.sha256 == digest(sources.faces / "train-0.tar")
    for piece in split_file.pieces:
        path = checkout / ".lease" / f"part-{piece.part}" / piece.path
        assert digest(path) == piece.sha256
        assert path.stat().st_mtime == FIXED_TIME
    commit = (checkout / ".lease" / "common" / "COMMIT").read_text(encoding="utf-8").strip()
    # The weights are set aside, and the code is still that of the commit.
    assert commit == git(checkout, "rev-parse", "--short", "HEAD").strip()
    assert git(checkout, "status", "--porcelain", "--", ".lease") == ""


def test_staging_again_gives_the_same_result(
    staged: Staged, checkout: Path, plan: Path, sources: StagingSources, tmp_path: Path
) -> None:
    again = stage_plan(checkout, plan, sources, call_mib=CALL, aside=tmp_path / "aside")
    assert again == staged


def test_staging_errors_are_raised_before_weights_are_moved(
    checkout: Path, plan: Path, sources: StagingSources, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"leave no space in a call of 1.5 MiB.*--set-aside"):
        stage_plan(checkout, plan, sources, call_mib=1.5)
    aside = tmp_path / "aside"
    without = StagingSources(sources.faces, sources.masks)
    with pytest.raises(UsageError, match=r"the plan uses parsing. Give --parsing"):
        stage_plan(checkout, plan, without, aside=aside)
    text = plan.read_text(encoding="utf-8")
    plan.write_text(text.replace('"carried"', '"absent"'), encoding="utf-8")
    with pytest.raises(InputMissingError, match=r"--init absent=FILE.*carried, other"):
        stage_plan(checkout, plan, sources, aside=aside)
    plan.write_text(text.replace('"one.toml"', '"nearr"'), encoding="utf-8")
    with pytest.raises(UsageError, match=r"no recipe 'nearr'. Nearest: near"):
        stage_plan(checkout, plan, sources, aside=aside)
    plan.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="is in the checkout"):
        stage_plan(checkout, plan, sources, aside=checkout / "aside")
    (sources.faces / "val.tar").unlink()
    with pytest.raises(DatasetError, match=r"no archives val\*.tar"):
        stage_plan(checkout, plan, sources, aside=aside)
    assert (checkout / "weights" / "carried.safetensors").exists()


def test_weights_are_set_aside_and_restored(
    staged: Staged, checkout: Path, plan: Path, sources: StagingSources, tmp_path: Path
) -> None:
    aside, weights = tmp_path / "aside", checkout / "weights"
    assert [path.name for path in weights.iterdir()] == ["manifest.toml"]
    with pytest.raises(UsageError, match=r"are set aside in .*aside already"):
        stage_plan(checkout, plan, sources, call_mib=CALL, aside=tmp_path / "elsewhere")
    write(weights / "carried.safetensors", 10)
    with pytest.raises(UsageError, match="differs from"):
        restore_weights(checkout, checkout / ".lease", None, remove=False)
    (weights / "carried.safetensors").unlink()
    hidden = tmp_path / "hidden"
    (aside / "other.safetensors").rename(hidden)
    with pytest.raises(UsageError, match=r"differ from the commit: weights/other.safetensors"):
        restore_weights(checkout, checkout / ".lease", None, remove=False)
    hidden.rename(aside / "other.safetensors")
    restore_weights(checkout, checkout / ".lease", None, remove=True)
    assert git(checkout, "status", "--porcelain") == ""
    assert not aside.exists()
    assert not (checkout / ".lease").exists()


def test_a_modified_checkout_has_a_dirty_commit(checkout: Path) -> None:
    write(checkout / "jdsr_cli" / "__init__.py", 20)
    assert commit_of(checkout).endswith("-dirty")


# Taking parts on the machine


def test_parts_are_taken_in_any_order_and_twice(
    staged: Staged, checkout: Path, sources: StagingSources, lease_workspace: LeaseWorkspace
) -> None:
    absent = []
    for part in (3, 1, 1, 2, 3):
        take_part(part, checkout / ".lease", checkout, lease_workspace)
        absent.append(len(missing_files(staged.table, lease_workspace)))
    assert absent == [9, 2, 2, 0, 0]
    for name in ("train-0.tar", "train-1.tar", "val.tar"):
        path = lease_workspace.data / "faces" / "faces9" / name
        assert path.read_bytes() == (sources.faces / name).read_bytes()
        assert path.stat().st_mtime == FIXED_TIME
    assert not (lease_workspace.data / "faces" / "faces9" / "test.tar").exists()
    assert not [path for path in (lease_workspace.data / ".pieces").rglob("*") if path.is_file()]
    assert (lease_workspace.code / "jdsr_cli" / "__init__.py").is_file()
    assert (lease_workspace.code / "COMMIT").read_text(encoding="utf-8").strip() == commit_of(
        checkout
    )


def test_an_incomplete_copy_is_repeated(
    staged: Staged, checkout: Path, lease_workspace: LeaseWorkspace
) -> None:
    take_all(checkout, staged, lease_workspace)
    val = lease_workspace.data / "faces" / "faces9" / "val.tar"
    val.write_bytes(val.read_bytes()[:100])
    same_size = lease_workspace.data / "parsing" / "parts.tar"
    same_size.write_bytes(bytes(same_size.stat().st_size))
    assert missing_files(staged.table, lease_workspace) == ["faces/faces9/val.tar"]
    take_part(1, checkout / ".lease", checkout, lease_workspace)
    by_path = {file.path: file for file in staged.table.files}
    for path in (val, same_size):
        assert digest(path) == by_path[str(path.relative_to(lease_workspace.data))].sha256


def test_a_damaged_piece_is_refused(
    staged: Staged, checkout: Path, lease_workspace: LeaseWorkspace
) -> None:
    path = checkout / ".lease" / "part-1" / "parsing" / "parts.tar"
    data = path.read_bytes()
    path.write_bytes(b"x" + data[1:])
    with pytest.raises(
        DatasetError, match=r"parts.tar: SHA-256 differs from that of the staged file"
    ):
        take_part(1, checkout / ".lease", checkout, lease_workspace)
    assert not (lease_workspace.data / "parsing" / "parts.tar").exists()
    path.write_bytes(data[:-1])
    with pytest.raises(DatasetError, match="not carried completely"):
        take_part(1, checkout / ".lease", checkout, lease_workspace)


def test_a_missing_part_is_an_error(
    staged: Staged, checkout: Path, lease_workspace: LeaseWorkspace
) -> None:
    with pytest.raises(InputMissingError, match="part 4 of 3 was not carried"):
        take_part(4, checkout / ".lease", checkout, lease_workspace)
    with pytest.raises(InputMissingError, match="no table of parts"):
        take_part(1, checkout, checkout, lease_workspace)
    with pytest.raises(InputMissingError, match="no part is installed yet"):
        start_runner(10, lease_workspace)


def test_code_is_copied_again_only_when_it_has_changed(
    staged: Staged, checkout: Path, lease_workspace: LeaseWorkspace
) -> None:
    take_part(1, checkout / ".lease", checkout, lease_workspace)
    (lease_workspace.code / "saved").touch()
    take_part(1, checkout / ".lease", checkout, lease_workspace)
    assert (lease_workspace.code / "saved").exists()
    write(checkout / "jdsr_cli" / "new.py", 10)
    take_part(2, checkout / ".lease", checkout, lease_workspace)
    assert not (lease_workspace.code / "saved").exists()
    assert (lease_workspace.code / "jdsr_cli" / "new.py").exists()


# Running the plan on the machine


def run_plan(lease_workspace: LeaseWorkspace, seconds: float = 5.0) -> None:
    (lease_workspace.code / "COMMIT").write_text("abc\n", encoding="utf-8")
    set_end(lease_workspace, seconds)
    Runner(lease_workspace).run()


def test_a_stage_without_faces_runs_before_they_arrive(
    staged: Staged, checkout: Path, lease_workspace: LeaseWorkspace
) -> None:
    take_part(1, checkout / ".lease", checkout, lease_workspace)
    run_plan(lease_workspace)
    state = read_state(lease_workspace)
    assert (lease_workspace.run_folder("one") / "parser" / "parser.safetensors").is_file()
    assert state.models["one"].state == FAILED
    assert "inputs did not arrive in time" in state.models["one"].note
    for part in (2, 3):
        take_part(part, checkout / ".lease", checkout, lease_workspace)
    run_plan(lease_workspace, 3.0)
    assert read_state(lease_workspace).models["one"].state == READY
    (entry,) = read_manifest(lease_workspace.run_folder("one") / "weights" / "manifest.toml")
    assert entry.commit == "abc"
    assert f"--init {lease_workspace.data / 'weights' / 'carried.safetensors'}" in entry.data
    assert f"--data {lease_workspace.data / 'faces' / 'faces9'}" in entry.data


def test_a_killed_run_is_exported_from_its_checkpoint(
    staged: Staged, checkout: Path, lease_workspace: LeaseWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_KILLED_RECIPE", "fine")
    take_all(checkout, staged, lease_workspace)
    run_plan(lease_workspace, 8.0)
    one = read_state(lease_workspace).models["one"]
    assert one.state == READY
    assert "ended with -9" in one.note
    (entry,) = read_manifest(lease_workspace.run_folder("one") / "weights" / "manifest.toml")
    assert "exported from a checkpoint" in entry.data


def test_a_process_that_does_not_end_is_interrupted_then_killed(
    lease_workspace: LeaseWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "INTERRUPT_AFTER", 0.2)
    monkeypatch.setattr(workspace, "KILL_AFTER", 0.5)
    lease_workspace.code.mkdir(parents=True)
    log = lease_workspace.log / "x.txt"
    interruptible = (
        "import time\ntry:\n time.sleep(60)\nexcept KeyboardInterrupt:\n raise SystemExit(130)"
    )
    words = [sys.executable, "-c", interruptible]
    assert workspace.run_process(words, lease_workspace, log, 2.0, lambda number: None) == 130
    uninterruptible = "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(60)"
    words = [sys.executable, "-c", uninterruptible]
    assert (
        workspace.run_process(words, lease_workspace, log, 2.0, lambda number: None)
        == -signal.SIGKILL
    )


def test_a_model_is_trained_without_an_identity_network_that_failed(
    checkout: Path,
    plan: Path,
    sources: StagingSources,
    lease_workspace: LeaseWorkspace,
    tmp_path: Path,
) -> None:
    second = '[[model]]\nname = "two"\nrecipe = "two.toml"\nuses = ["masks"]\nreuse = "one"\n'
    plan.write_text(PLAN + second, encoding="utf-8")
    diverging = RECIPE.replace("[identity.optimiser]", "[identity.optimiser]\nrate = 1e30")
    (plan.parent / "one.toml").write_text(diverging, encoding="utf-8")
    text = f'stages = ["joint"]\n{diverging}'.replace("fine", "second")
    (plan.parent / "two.toml").write_text(text, encoding="utf-8")
    staged = stage_plan(checkout, plan, sources, aside=tmp_path / "aside")
    take_all(checkout, staged, lease_workspace)
    run_plan(lease_workspace, 6.0)
    assert {one.state for one in read_state(lease_workspace).models.values()} == {READY}
    (entry,) = read_manifest(lease_workspace.run_folder("two") / "weights" / "manifest.toml")
    assert "--identity" not in entry.data
    assert "without identity" in entry.data
    recipe = lease_workspace.out / "recipes" / "two.toml"
    assert f"--recipe {recipe}" in entry.data
    stages = tomllib.loads(recipe.read_text(encoding="utf-8"))["stages"]
    assert stages == ["identity", "joint"]


@pytest.mark.parametrize("own", [True, False])
def test_a_process_left_by_a_killed_runner_is_ended(
    own: bool, staged: Staged, checkout: Path, lease_workspace: LeaseWorkspace, tmp_path: Path
) -> None:
    take_part(1, checkout / ".lease", checkout, lease_workspace)
    words = [
        sys.executable,
        "-c",
        "import time; time.sleep(600)",
        str(lease_workspace.root if own else ""),
    ]
    with subprocess.Popen(words, start_new_session=True) as remaining:
        state = read_state(lease_workspace)
        state.process = remaining.pid
        state.save(lease_workspace)
        run_plan(lease_workspace, 0.5)
        if own:
            assert remaining.wait(60) == -signal.SIGKILL
        else:
            assert remaining.poll() is None
            remaining.kill()


def test_starting_twice_only_changes_the_end(
    staged: Staged, checkout: Path, lease_workspace: LeaseWorkspace, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    take_part(1, checkout / ".lease", checkout, lease_workspace)
    # The runner needs the real packages, which the small checkout does not contain.
    shutil.rmtree(lease_workspace.code)
    for package in ("jdsr_cli", "train"):
        shutil.copytree(ROOT / package, lease_workspace.code / package)
    (lease_workspace.code / "COMMIT").write_text("abc\n", encoding="utf-8")
    runner_process = start_runner(600, lease_workspace)
    assert runner_process is not None
    try:
        assert is_locked(lease_workspace.out / LOCK)
        runner = read_state(lease_workspace).runner
        capsys.readouterr()
        assert start_runner(2, lease_workspace) is None
        assert "the plan is running; training ends in 2 s" in capsys.readouterr().out
        assert read_state(lease_workspace).runner == runner == runner_process.pid
        assert runner_process.wait(600) == 0
        assert read_state(lease_workspace).done
    finally:
        if runner_process.poll() is None:
            workspace.end_group(runner_process.pid)
            runner_process.wait()


# Retrieving weights


def export(run: Path, size: int, exported: float, name: str = "fine") -> bytes:
    """Write weights and their manifest as `jdsr train` does."""
    data = random.Random(f"{size}{exported}").randbytes(size)
    write(run / "weights" / f"{name}.safetensors", 0).write_bytes(data)
    entry: dict[str, Any] = {
        "name": name, "file": f"{name}.safetensors", "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": size, "network": "lite", "scale": 4, "lr_size": 32, "data": "d", "licence": "l",
        "commit": "c", "recipe": name,
    }  # fmt: skip
    lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
    text = "\n".join(["[[weights]]", *lines, "", "[weights.figures]", "psnr = 1.0", ""])
    (run / "weights" / "manifest.toml").write_text(text, encoding="utf-8")
    os.utime(run / "weights" / f"{name}.safetensors", (exported, exported))
    return data


LIMITS = Limits(files=4, file_mib=1, total_mib=4)


@pytest.fixture
def machine(lease_workspace: LeaseWorkspace) -> LeaseWorkspace:
    """A machine with one finished model of 2.5 MiB."""
    lease_workspace.common.mkdir(parents=True)
    (lease_workspace.common / "COMMIT").write_text("abc\n", encoding="utf-8")
    (lease_workspace.common / "plan.toml").write_text(
        '[[model]]\nrecipe = "fine"\n', encoding="utf-8"
    )
    export(lease_workspace.run_folder("fine"), int(2.5 * MIB), 1000.0)
    state = read_state(lease_workspace)
    state.models = models_in(READY)
    state.done = True
    state.save(lease_workspace)
    return lease_workspace


def models_in(state: str) -> dict[str, ModelState]:
    return {"fine": ModelState(state)}


def retrieve(machine: LeaseWorkspace, out: Path, **options: Any) -> Path:
    if out.exists():
        shutil.rmtree(out)
    out.mkdir()
    watch(0, out, machine, LIMITS, **options)
    sizes = [path.stat().st_size for path in out.iterdir()]
    assert len(sizes) <= LIMITS.files
    assert max(sizes) <= LIMITS.file_mib * MIB
    assert sum(sizes) <= LIMITS.total_mib * MIB
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", path.name) for path in out.iterdir())
    return out


def pieces(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir() if "of0" in path.name)


def test_a_model_is_retrieved_in_several_calls(
    machine: LeaseWorkspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, out = tmp_path / "results", tmp_path / "out"
    first = pieces(retrieve(machine, out))
    assert len(first) == 2
    assert "1 more pieces are sent by the next call" in capsys.readouterr().out
    joined = join(out, target)
    assert (joined.written, joined.waiting) == ((), ("fine.safetensors",))
    second = pieces(retrieve(machine, out))
    assert len(second) == 1
    assert not set(first) & set(second)
    assert join(out, target).written == ("fine.safetensors",)
    data = (machine.run_folder("fine") / "weights" / "fine.safetensors").read_bytes()
    assert (target / "fine.safetensors").read_bytes() == data
    (entry,) = read_manifest(target / "manifest.toml")
    assert entry.sha256 == hashlib.sha256(data).hexdigest()
    assert retrieved(target)["fine.safetensors"]["commit"] == "abc"
    assert list((target / "logs").glob("logs-*.tgz"))
    assert not list((target / ".pieces").iterdir())
    assert pieces(retrieve(machine, out)) == []
    assert "all finished models are retrieved" in capsys.readouterr().out
    assert pieces(retrieve(machine, out, again=True)) == first


def test_joining_the_same_call_twice_changes_nothing(
    machine: LeaseWorkspace, tmp_path: Path
) -> None:
    target, out = tmp_path / "results", tmp_path / "out"
    retrieve(machine, out)
    join(out, target)
    join(out, target)
    saved = tmp_path / "saved"
    shutil.copytree(retrieve(machine, out), saved)
    assert join(saved, target).written == ("fine.safetensors",)
    assert join(saved, target).written == ()
    assert join(saved, target).waiting == ()


def test_a_damaged_piece_is_an_error_and_not_used(machine: LeaseWorkspace, tmp_path: Path) -> None:
    target, out = tmp_path / "results", tmp_path / "out"
    name = pieces(retrieve(machine, out))[0]
    (out / name).write_bytes(b"x" + (out / name).read_bytes()[1:])
    with pytest.raises(WeightsCorruptError, match=f"damaged: {name}.*watch 5 --again"):
        join(out, target)
    assert join(retrieve(machine, out), target).written == ()
    assert not (target / "fine.safetensors").exists()
    assert join(retrieve(machine, out, again=True), target).written == ("fine.safetensors",)


def test_an_older_export_never_replaces_a_newer_one(
    machine: LeaseWorkspace, tmp_path: Path
) -> None:
    target, out = tmp_path / "results", tmp_path / "out"
    old = [tmp_path / "old-1", tmp_path / "old-2"]
    for folder in old:
        shutil.copytree(retrieve(machine, out), folder)
    newer = export(machine.run_folder("fine"), 1000, 2000.0)
    assert join(retrieve(machine, out), target).written == ("fine.safetensors",)
    for folder in old:
        assert join(folder, target).written == ()
    assert (target / "fine.safetensors").read_bytes() == newer
    newest = export(machine.run_folder("fine"), 1500, 3000.0)
    assert join(retrieve(machine, out), target).written == ("fine.safetensors",)
    assert (target / "fine.safetensors").read_bytes() == newest
    assert len(read_manifest(target / "manifest.toml")) == 1


def test_manifests_are_merged_by_file(machine: LeaseWorkspace, tmp_path: Path) -> None:
    target, out = tmp_path / "results", tmp_path / "out"
    export(machine.run_folder("fine"), 1000, 1000.0)
    join(retrieve(machine, out), target)
    shutil.rmtree(machine.run_folder("fine") / "weights")
    export(machine.run_folder("fine"), 1000, 1500.0, "second")
    join(retrieve(machine, out), target)
    assert [one.name for one in read_manifest(target / "manifest.toml")] == ["fine", "second"]


def test_a_running_model_is_retrieved_only_with_midway(
    machine: LeaseWorkspace, tmp_path: Path
) -> None:
    out, target = tmp_path / "out", tmp_path / "results"
    state = read_state(machine)
    state.models, state.done = models_in(RUNNING), False
    state.save(machine)
    assert pieces(retrieve(machine, out)) == []
    export(machine.run_folder("fine"), 1000, 1000.0)
    assert len(pieces(retrieve(machine, out, midway=True))) == 1
    join(out, target)
    assert retrieved(target)["fine.safetensors"]["final"] is False
    assert pieces(retrieve(machine, out, midway=True)) == []


def test_a_partly_replaced_export_is_not_retrieved(
    machine: LeaseWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jdsr_train.lease.bundles.TRIES", 2)
    (machine.run_folder("fine") / "weights" / "fine.safetensors").write_bytes(
        b"newer than its manifest"
    )
    assert pieces(retrieve(machine, tmp_path / "out")) == []


def test_pieces_larger_than_a_call_are_an_error_and_not_lost(
    machine: LeaseWorkspace, tmp_path: Path
) -> None:
    retrieve(machine, tmp_path / "out")
    with pytest.raises(UsageError, match="does not fit"):
        watch(0, tmp_path / "out", machine, Limits(file_mib=0.4))
    assert len(pieces(retrieve(machine, tmp_path / "out"))) == 1
    with pytest.raises(OutputError, match="no such folder"):
        watch(0, tmp_path / "absent", machine, LIMITS)


def test_a_bundle_that_cannot_be_read_is_damaged(machine: LeaseWorkspace, tmp_path: Path) -> None:
    out = retrieve(machine, tmp_path / "out")
    (bundle,) = out.glob("*.bundle.json")
    assert read_bundle(bundle) is not None
    bundle.write_text("{", encoding="utf-8")
    with pytest.raises(WeightsCorruptError, match=bundle.name):
        join(out, tmp_path / "results")


# The simulated machine


def test_the_simulated_machine_enforces_the_limits(checkout: Path, tmp_path: Path) -> None:
    limits = Limits(call_mib=2, files=3, file_mib=1, total_mib=3, seconds=30)
    machine = SimulatedMachine(tmp_path / "machine", checkout, limits)
    write(checkout / ".git" / "carried", int(0.5 * MIB))
    for command, carry, message in (
        ("true", (".git",), "a call has .* MiB, 2 at most"),
        ("x" * 2001, (), "2000 characters"),
        ("head -c 1200000 /dev/zero >$OUT/large", (), "large, 1.1 MiB"),
        ("touch $OUT/1 $OUT/2 $OUT/3 $OUT/4", (), "4 files"),
        ("touch $OUT/a+b", (), r"a\+b"),
    ):
        with pytest.raises(UsageError, match=message):
            machine.call(Call(command, carry, 10))
    with pytest.raises(UsageError, match="30 s at most"):
        machine.call(Call("true", (), 31))
    with pytest.raises(UsageError, match="9 paths"):
        machine.call(Call("true", ("a",) * 9, 10))


def test_the_simulated_machine_has_one_folder_of_files_and_a_time_limit(
    checkout: Path, tmp_path: Path
) -> None:
    machine = SimulatedMachine(tmp_path / "machine", checkout, Limits())
    reply = machine.call(Call("ls; echo one >$OUT/first; exit 3", (), 10))
    assert reply.code == 3
    assert "jdsr_cli" in reply.printed
    assert (reply.files_at / "first").read_text(encoding="utf-8") == "one\n"
    assert not (reply.files_at / "first").stat().st_mode & 0o222
    reply = machine.call(Call("echo two >$OUT/second; sleep 30", (), 1))
    assert reply.code == TIMED_OUT
    assert [path.name for path in reply.files_at.iterdir()] == ["second"]


# The command line


def test_lease_modules_do_not_import_torch() -> None:
    names = ("__main__", "intake", "runner", "retrieval", "rehearsal")
    imported = ", ".join(f"jdsr_train.lease.{name}" for name in names)
    code = f"import sys, {imported}; sys.stdout.write(str('torch' in sys.modules))"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'train'}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False"


def test_errors_have_their_exit_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    faces = ["--faces", str(tmp_path)]
    assert main(["stage", "plan.toml", *faces]) == UsageError.exit_code
    assert "not the root of a checkout" in capsys.readouterr().err
    assert main(["stage", "plan.toml", *faces, "--init", "x"]) == UsageError.exit_code
    assert "'x' is not NAME=FILE" in capsys.readouterr().err
    assert main(["stage", "plan.toml", *faces, "--tree-mib", "much"]) == UsageError.exit_code
    assert main(["join", str(tmp_path / "absent"), str(tmp_path)]) == InputMissingError.exit_code
    assert main(["take", "1"]) == InputMissingError.exit_code


def test_staging_and_unstaging_from_the_command_line(
    checkout: Path, plan: Path, sources: StagingSources, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(checkout)
    words = ["stage", str(plan), "--faces", str(sources.faces), "--masks", str(sources.masks)]
    words += ["--parsing", str(sources.parsing), "--set-aside", str(tmp_path / "aside")]
    assert main([*words, "--call-mib", str(CALL)]) == 0
    assert "call 3:" in capsys.readouterr().out
    assert main([*words, "--call-mib", str(CALL), "--tree-mib", "2.7"]) == UsageError.exit_code
    assert main(["unstage", "--remove"]) == 0
    assert "weights/ is identical to the commit" in capsys.readouterr().out
