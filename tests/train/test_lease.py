"""What a lease is made of: plans, parts within limits, pieces that come home whole."""

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
STAND_IN = Path(__file__).with_name("stand_in.py")
CALL = 2.8
"""MiB that a call may carry."""
PLAN = f"""
reserve = 0
first_seconds = 3
workers = 0
command = {json.dumps([sys.executable, str(STAND_IN)])}

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
    """A repository that is laid out as this one."""
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
def places(tmp_path: Path) -> LeaseWorkspace:
    return LeaseWorkspace(tmp_path / "machine")


def take_all(checkout: Path, staged: Staged, places: LeaseWorkspace) -> None:
    for part in range(1, staged.table.parts + 1):
        take_part(part, checkout / ".lease", checkout, places)


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


def test_plans_are_those_that_the_runbook_tells() -> None:
    told = (ROOT / "train" / "gpu" / "README.md").read_text(encoding="utf-8")
    assert len(PLANS) == 4
    for path in PLANS:
        assert f"`{path.stem}`" in told
        assert read_plan(path).models


def test_a_plan_is_written_as_it_is_read(plan: Path, tmp_path: Path) -> None:
    for path in (plan, *PLANS):
        (tmp_path / "again.toml").write_text(to_toml(read_plan(path)), encoding="utf-8")
        assert read_plan(tmp_path / "again.toml") == read_plan(path)


@pytest.mark.parametrize(
    ("change", "told"),
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
def test_mistakes_in_plans_are_told(change: tuple[str, str], told: str, plan: Path) -> None:
    text = plan.read_text(encoding="utf-8")
    assert change[0] in text
    plan.write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(UsageError, match=told):
        read_plan(plan)


def test_a_plan_that_is_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="no such plan"):
        read_plan(tmp_path / "plan.toml")
    with pytest.raises(UsageError, match="needs at least one"):
        Plan(())
    with pytest.raises(UsageError, match="'a' occurs twice"):
        Plan((PlannedModel("a"), PlannedModel("a", name="b")))


# At home: parts


def test_every_call_is_within_its_limit_and_holds_what_is_needed_first(
    staged: Staged, checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tree_size(checkout)
    for number, told in enumerate(staged.sizes, 1):
        carried = [checkout / ".lease" / name for name in ("common", f"part-{number}")]
        files = [path for folder in carried for path in folder.rglob("*") if path.is_file()]
        size = tree + sum(path.stat().st_size for path in files)
        assert size == told <= CALL * MIB
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


def test_what_is_staged_has_its_hash_its_time_and_its_commit(
    staged: Staged, checkout: Path, sources: StagingSources
) -> None:
    by_path = {file.path: file for file in staged.table.files}
    cut = by_path["faces/faces9/train-0.tar"]
    assert len(cut.pieces) == 2
    assert cut.sha256 == digest(sources.faces / "train-0.tar")
    for piece in cut.pieces:
        path = checkout / ".lease" / f"part-{piece.part}" / piece.path
        assert digest(path) == piece.sha256
        assert path.stat().st_mtime == FIXED_TIME
    told = (checkout / ".lease" / "common" / "COMMIT").read_text(encoding="utf-8").strip()
    # The weights are away, and the code is that of the commit all the same.
    assert told == git(checkout, "rev-parse", "--short", "HEAD").strip()
    assert git(checkout, "status", "--porcelain", "--", ".lease") == ""


def test_staging_again_gives_the_same(
    staged: Staged, checkout: Path, plan: Path, sources: StagingSources, tmp_path: Path
) -> None:
    again = stage_plan(checkout, plan, sources, call_mib=CALL, aside=tmp_path / "aside")
    assert again == staged


def test_what_does_not_fit_or_is_missing_is_told_before_weights_are_moved(
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


def test_weights_are_set_aside_and_put_back(
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


def test_a_checkout_that_differs_from_its_commit_says_so(checkout: Path) -> None:
    write(checkout / "jdsr_cli" / "__init__.py", 20)
    assert commit_of(checkout).endswith("-dirty")


# On the machine: parts


def test_parts_are_taken_in_any_order_and_twice(
    staged: Staged, checkout: Path, sources: StagingSources, places: LeaseWorkspace
) -> None:
    absent = []
    for part in (3, 1, 1, 2, 3):
        take_part(part, checkout / ".lease", checkout, places)
        absent.append(len(missing_files(staged.table, places)))
    assert absent == [9, 2, 2, 0, 0]
    for name in ("train-0.tar", "train-1.tar", "val.tar"):
        path = places.data / "faces" / "faces9" / name
        assert path.read_bytes() == (sources.faces / name).read_bytes()
        assert path.stat().st_mtime == FIXED_TIME
    assert not (places.data / "faces" / "faces9" / "test.tar").exists()
    assert not [path for path in (places.data / ".pieces").rglob("*") if path.is_file()]
    assert (places.code / "jdsr_cli" / "__init__.py").is_file()
    assert (places.code / "COMMIT").read_text(encoding="utf-8").strip() == commit_of(checkout)


def test_a_copy_that_broke_off_is_taken_up_again(
    staged: Staged, checkout: Path, places: LeaseWorkspace
) -> None:
    take_all(checkout, staged, places)
    val = places.data / "faces" / "faces9" / "val.tar"
    val.write_bytes(val.read_bytes()[:100])
    same_size = places.data / "parsing" / "parts.tar"
    same_size.write_bytes(bytes(same_size.stat().st_size))
    assert missing_files(staged.table, places) == ["faces/faces9/val.tar"]
    take_part(1, checkout / ".lease", checkout, places)
    by_path = {file.path: file for file in staged.table.files}
    for path in (val, same_size):
        assert digest(path) == by_path[str(path.relative_to(places.data))].sha256


def test_a_damaged_piece_is_not_taken(
    staged: Staged, checkout: Path, places: LeaseWorkspace
) -> None:
    path = checkout / ".lease" / "part-1" / "parsing" / "parts.tar"
    data = path.read_bytes()
    path.write_bytes(b"x" + data[1:])
    with pytest.raises(
        DatasetError, match=r"parts.tar: SHA-256 differs from that of the staged file"
    ):
        take_part(1, checkout / ".lease", checkout, places)
    assert not (places.data / "parsing" / "parts.tar").exists()
    path.write_bytes(data[:-1])
    with pytest.raises(DatasetError, match="not carried completely"):
        take_part(1, checkout / ".lease", checkout, places)


def test_a_part_that_was_not_carried(
    staged: Staged, checkout: Path, places: LeaseWorkspace
) -> None:
    with pytest.raises(InputMissingError, match="part 4 of 3 was not carried"):
        take_part(4, checkout / ".lease", checkout, places)
    with pytest.raises(InputMissingError, match="no table of parts"):
        take_part(1, checkout, checkout, places)
    with pytest.raises(InputMissingError, match="no part is installed yet"):
        start_runner(10, places)


def test_code_is_laid_down_again_only_when_it_has_changed(
    staged: Staged, checkout: Path, places: LeaseWorkspace
) -> None:
    take_part(1, checkout / ".lease", checkout, places)
    (places.code / "kept").touch()
    take_part(1, checkout / ".lease", checkout, places)
    assert (places.code / "kept").exists()
    write(checkout / "jdsr_cli" / "new.py", 10)
    take_part(2, checkout / ".lease", checkout, places)
    assert not (places.code / "kept").exists()
    assert (places.code / "jdsr_cli" / "new.py").exists()


# On the machine: the plan


def run_plan(places: LeaseWorkspace, seconds: float = 5.0) -> None:
    (places.code / "COMMIT").write_text("abc\n", encoding="utf-8")
    set_end(places, seconds)
    Runner(places).run()


def test_a_stage_that_needs_no_faces_runs_while_they_are_on_their_way(
    staged: Staged, checkout: Path, places: LeaseWorkspace
) -> None:
    take_part(1, checkout / ".lease", checkout, places)
    run_plan(places)
    state = read_state(places)
    assert (places.run_folder("one") / "parser" / "parser.safetensors").is_file()
    assert state.models["one"].state == FAILED
    assert "inputs did not arrive in time" in state.models["one"].note
    for part in (2, 3):
        take_part(part, checkout / ".lease", checkout, places)
    run_plan(places, 3.0)
    assert read_state(places).models["one"].state == READY
    (entry,) = read_manifest(places.run_folder("one") / "weights" / "manifest.toml")
    assert entry.commit == "abc"
    assert f"--init {places.data / 'weights' / 'carried.safetensors'}" in entry.data
    assert f"--data {places.data / 'faces' / 'faces9'}" in entry.data


def test_a_run_that_dies_is_exported_from_its_checkpoint(
    staged: Staged, checkout: Path, places: LeaseWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_DIES", "fine")
    take_all(checkout, staged, places)
    run_plan(places, 8.0)
    one = read_state(places).models["one"]
    assert one.state == READY
    assert "ended with -9" in one.note
    (entry,) = read_manifest(places.run_folder("one") / "weights" / "manifest.toml")
    assert "exported from a checkpoint" in entry.data


def test_a_process_that_does_not_end_is_interrupted_then_killed(
    places: LeaseWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "INTERRUPT_AFTER", 0.2)
    monkeypatch.setattr(workspace, "KILL_AFTER", 0.5)
    places.code.mkdir(parents=True)
    log = places.log / "x.txt"
    polite = "import time\ntry:\n time.sleep(60)\nexcept KeyboardInterrupt:\n raise SystemExit(130)"
    words = [sys.executable, "-c", polite]
    assert workspace.run_process(words, places, log, 2.0, lambda number: None) == 130
    deaf = "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(60)"
    words = [sys.executable, "-c", deaf]
    assert workspace.run_process(words, places, log, 2.0, lambda number: None) == -signal.SIGKILL


def test_a_model_goes_on_without_the_identity_network_that_it_counted_on(
    checkout: Path, plan: Path, sources: StagingSources, places: LeaseWorkspace, tmp_path: Path
) -> None:
    second = '[[model]]\nname = "two"\nrecipe = "two.toml"\nuses = ["masks"]\nreuse = "one"\n'
    plan.write_text(PLAN + second, encoding="utf-8")
    absurd = RECIPE.replace("[identity.optimiser]", "[identity.optimiser]\nrate = 1e30")
    (plan.parent / "one.toml").write_text(absurd, encoding="utf-8")
    text = f'stages = ["joint"]\n{absurd}'.replace("fine", "second")
    (plan.parent / "two.toml").write_text(text, encoding="utf-8")
    staged = stage_plan(checkout, plan, sources, aside=tmp_path / "aside")
    take_all(checkout, staged, places)
    run_plan(places, 6.0)
    assert {one.state for one in read_state(places).models.values()} == {READY}
    (entry,) = read_manifest(places.run_folder("two") / "weights" / "manifest.toml")
    assert "--identity" not in entry.data
    assert "without identity" in entry.data
    recipe = places.out / "recipes" / "two.toml"
    assert f"--recipe {recipe}" in entry.data
    stages = tomllib.loads(recipe.read_text(encoding="utf-8"))["stages"]
    assert stages == ["identity", "joint"]


@pytest.mark.parametrize("ours", [True, False])
def test_what_a_killed_runner_has_left_running_is_ended(
    ours: bool, staged: Staged, checkout: Path, places: LeaseWorkspace, tmp_path: Path
) -> None:
    take_part(1, checkout / ".lease", checkout, places)
    words = [sys.executable, "-c", "import time; time.sleep(60)", str(places.root if ours else "")]
    with subprocess.Popen(words, start_new_session=True) as left:
        state = read_state(places)
        state.process = left.pid
        state.save(places)
        run_plan(places, 0.5)
        if ours:
            assert left.wait(10) == -signal.SIGKILL
        else:
            assert left.poll() is None
            left.kill()


def test_starting_twice_only_corrects_the_end(
    staged: Staged, checkout: Path, places: LeaseWorkspace, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    take_part(1, checkout / ".lease", checkout, places)
    # The machine's code is this package, which the small checkout only stands for.
    shutil.rmtree(places.code)
    for package in ("jdsr_cli", "train"):
        shutil.copytree(ROOT / package, places.code / package)
    (places.code / "COMMIT").write_text("abc\n", encoding="utf-8")
    began = start_runner(600, places)
    assert began is not None
    try:
        assert is_locked(places.out / LOCK)
        runner = read_state(places).runner
        capsys.readouterr()
        assert start_runner(2, places) is None
        assert "the plan is running; training ends in 2 s" in capsys.readouterr().out
        assert read_state(places).runner == runner == began.pid
        assert began.wait(60) == 0
        assert read_state(places).done
    finally:
        if began.poll() is None:
            workspace.end_group(began.pid)
            began.wait()


# Home again


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
def machine(places: LeaseWorkspace) -> LeaseWorkspace:
    """A machine whose only model, of 2.5 MiB, is ready."""
    places.common.mkdir(parents=True)
    (places.common / "COMMIT").write_text("abc\n", encoding="utf-8")
    (places.common / "plan.toml").write_text('[[model]]\nrecipe = "fine"\n', encoding="utf-8")
    export(places.run_folder("fine"), int(2.5 * MIB), 1000.0)
    state = read_state(places)
    state.models = models_in(READY)
    state.done = True
    state.save(places)
    return places


def models_in(state: str) -> dict[str, ModelState]:
    return {"fine": ModelState(state)}


def bring(machine: LeaseWorkspace, out: Path, **options: Any) -> Path:
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


def test_a_model_comes_home_in_as_many_calls_as_it_needs(
    machine: LeaseWorkspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, out = tmp_path / "results", tmp_path / "out"
    first = pieces(bring(machine, out))
    assert len(first) == 2
    assert "1 more pieces are sent by the next call" in capsys.readouterr().out
    joined = join(out, target)
    assert (joined.written, joined.waiting) == ((), ("fine.safetensors",))
    second = pieces(bring(machine, out))
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
    assert pieces(bring(machine, out)) == []
    assert "all finished models are retrieved" in capsys.readouterr().out
    assert pieces(bring(machine, out, again=True)) == first


def test_joining_the_same_call_twice_changes_nothing(
    machine: LeaseWorkspace, tmp_path: Path
) -> None:
    target, out = tmp_path / "results", tmp_path / "out"
    bring(machine, out)
    join(out, target)
    join(out, target)
    kept = tmp_path / "kept"
    shutil.copytree(bring(machine, out), kept)
    assert join(kept, target).written == ("fine.safetensors",)
    assert join(kept, target).written == ()
    assert join(kept, target).waiting == ()


def test_a_damaged_piece_is_named_and_not_used(machine: LeaseWorkspace, tmp_path: Path) -> None:
    target, out = tmp_path / "results", tmp_path / "out"
    name = pieces(bring(machine, out))[0]
    (out / name).write_bytes(b"x" + (out / name).read_bytes()[1:])
    with pytest.raises(WeightsCorruptError, match=f"damaged: {name}.*watch 5 --again"):
        join(out, target)
    assert join(bring(machine, out), target).written == ()
    assert not (target / "fine.safetensors").exists()
    assert join(bring(machine, out, again=True), target).written == ("fine.safetensors",)


def test_an_older_export_never_replaces_a_newer_one(
    machine: LeaseWorkspace, tmp_path: Path
) -> None:
    target, out = tmp_path / "results", tmp_path / "out"
    old = [tmp_path / "old-1", tmp_path / "old-2"]
    for folder in old:
        shutil.copytree(bring(machine, out), folder)
    newer = export(machine.run_folder("fine"), 1000, 2000.0)
    assert join(bring(machine, out), target).written == ("fine.safetensors",)
    for folder in old:
        assert join(folder, target).written == ()
    assert (target / "fine.safetensors").read_bytes() == newer
    newest = export(machine.run_folder("fine"), 1500, 3000.0)
    assert join(bring(machine, out), target).written == ("fine.safetensors",)
    assert (target / "fine.safetensors").read_bytes() == newest
    assert len(read_manifest(target / "manifest.toml")) == 1


def test_manifests_are_merged_by_file(machine: LeaseWorkspace, tmp_path: Path) -> None:
    target, out = tmp_path / "results", tmp_path / "out"
    export(machine.run_folder("fine"), 1000, 1000.0)
    join(bring(machine, out), target)
    shutil.rmtree(machine.run_folder("fine") / "weights")
    export(machine.run_folder("fine"), 1000, 1500.0, "second")
    join(bring(machine, out), target)
    assert [one.name for one in read_manifest(target / "manifest.toml")] == ["fine", "second"]


def test_the_running_model_comes_home_midway_only_when_asked(
    machine: LeaseWorkspace, tmp_path: Path
) -> None:
    out, target = tmp_path / "out", tmp_path / "results"
    state = read_state(machine)
    state.models, state.done = models_in(RUNNING), False
    state.save(machine)
    assert pieces(bring(machine, out)) == []
    export(machine.run_folder("fine"), 1000, 1000.0)
    assert len(pieces(bring(machine, out, midway=True))) == 1
    join(out, target)
    assert retrieved(target)["fine.safetensors"]["final"] is False
    assert pieces(bring(machine, out, midway=True)) == []


def test_an_export_that_is_half_replaced_is_not_brought(
    machine: LeaseWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jdsr_train.lease.bundles.TRIES", 2)
    (machine.run_folder("fine") / "weights" / "fine.safetensors").write_bytes(
        b"newer than its manifest"
    )
    assert pieces(bring(machine, tmp_path / "out")) == []


def test_pieces_cut_for_larger_calls_are_told_not_lost(
    machine: LeaseWorkspace, tmp_path: Path
) -> None:
    bring(machine, tmp_path / "out")
    with pytest.raises(UsageError, match="does not fit"):
        watch(0, tmp_path / "out", machine, Limits(file_mib=0.4))
    assert len(pieces(bring(machine, tmp_path / "out"))) == 1
    with pytest.raises(OutputError, match="no such folder"):
        watch(0, tmp_path / "absent", machine, LIMITS)


def test_a_bundle_that_cannot_be_read_is_damaged(machine: LeaseWorkspace, tmp_path: Path) -> None:
    out = bring(machine, tmp_path / "out")
    (described,) = out.glob("*.bundle.json")
    assert read_bundle(described) is not None
    described.write_text("{", encoding="utf-8")
    with pytest.raises(WeightsCorruptError, match=described.name):
        join(out, tmp_path / "results")


# The stand-in for the machine


def test_the_stand_in_enforces_the_limits(checkout: Path, tmp_path: Path) -> None:
    limits = Limits(call_mib=2, files=3, file_mib=1, total_mib=3, seconds=30)
    machine = SimulatedMachine(tmp_path / "machine", checkout, limits)
    write(checkout / ".git" / "carried", int(0.5 * MIB))
    for command, carry, told in (
        ("true", (".git",), "a call has .* MiB, 2 at most"),
        ("x" * 2001, (), "2000 characters"),
        ("head -c 1200000 /dev/zero >$OUT/large", (), "large, 1.1 MiB"),
        ("touch $OUT/1 $OUT/2 $OUT/3 $OUT/4", (), "4 files"),
        ("touch $OUT/a+b", (), r"a\+b"),
    ):
        with pytest.raises(UsageError, match=told):
            machine.call(Call(command, carry, 10))
    with pytest.raises(UsageError, match="30 s at most"):
        machine.call(Call("true", (), 31))
    with pytest.raises(UsageError, match="9 paths"):
        machine.call(Call("true", ("a",) * 9, 10))


def test_the_stand_in_has_one_folder_of_files_and_a_time_limit(
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


def test_nothing_of_it_imports_torch() -> None:
    names = ("__main__", "intake", "runner", "retrieval", "rehearsal")
    imported = ", ".join(f"jdsr_train.lease.{name}" for name in names)
    code = f"import sys, {imported}; sys.stdout.write(str('torch' in sys.modules))"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'train'}"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == "False"


def test_mistakes_end_in_their_exit_codes(
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
