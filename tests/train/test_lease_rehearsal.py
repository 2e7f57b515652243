"""Rehearsals of whole leases, with fake training and with `jdsr train`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from lease_sources import write_sources

from jdsr_cli.errors import EXIT_INTERRUPTED, UsageError
from jdsr_cli.networks import JDSRGenerator, build
from jdsr_cli.weights import load_generator, read_manifest
from jdsr_train import recipe_files
from jdsr_train.lease.files import digest
from jdsr_train.lease.plan import Limits
from jdsr_train.lease.rehearsal import rehearse
from jdsr_train.lease.runner import LOCK
from jdsr_train.lease.simulation import DIVERGING_RATE, tiny_recipe
from jdsr_train.lease.staging import StagingSources
from jdsr_train.lease.workspace import LeaseWorkspace, is_locked

CHECKOUT = Path(__file__).parents[2]
SECONDS = 16.0
"""Duration of a lease with fake training."""
REAL_SECONDS = 40.0
"""Duration of a lease with `jdsr train`."""
LONGER = (1, 3, 9)
"""Factors of the duration: on a loaded machine, programs may take longer to start than a lease."""
TOO_SHORT = re.compile(r"no time was left|did not arrive in time|lease has ended before")
FAKE_TRAINING = Path(__file__).with_name("fake_training.py")
PLAN = """
reserve = 2
command = {command}

[[model]]
name = "lite"
recipe = "lite_camera"
share = 0.3
uses = ["masks", "features"]
init = "lite-camera"

[[model]]
name = "x4"
recipe = "lease_x4"
share = 0.4
uses = ["masks", "features", "parsing"]
first = ["parser"]

[[model]]
name = "x8"
recipe = "lease_x8"
share = 0.3
uses = ["masks", "features"]
init = "x4"
reuse = "x4"
"""


@pytest.fixture(scope="module")
def sources(
    tmp_path_factory: pytest.TempPathFactory, write_faces: Callable[..., Path],
    template_folder: Path,
) -> StagingSources:  # fmt: skip
    return write_sources(tmp_path_factory.mktemp("sources"), write_faces, template_folder)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "plan.toml"
    command = [sys.executable, str(FAKE_TRAINING)]
    path.write_text(PLAN.format(command=command).replace("'", '"'), encoding="utf-8")
    return path


def rehearse_long_enough(
    plan: Path, sources: StagingSources, work: Path, seconds: float,
    capfd: pytest.CaptureFixture[str], **given: Any,
) -> str:  # fmt: skip
    """Return what a successful rehearsal prints; one whose lease was too short is repeated."""
    for factor in LONGER:
        shutil.rmtree(work, ignore_errors=True)
        code = rehearse(CHECKOUT, plan, sources, seconds=factor * seconds, work=work, **given)
        printed = capfd.readouterr().out
        if not TOO_SHORT.search(printed):
            break
    assert code == 0, printed
    return printed


def weights_in(target: Path) -> dict[str, str]:
    """Return what each retrieved file was trained from, as its manifest states."""
    origins = {}
    for entry in read_manifest(target / "manifest.toml"):
        assert digest(target / entry.file) == entry.sha256
        origins[entry.file] = entry.data
    return origins


@pytest.mark.nightly
def test_a_plan_is_retrieved_despite_faults(
    plan: Path, sources: StagingSources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("FAKE_WEIGHTS_BYTES", "1500000")
    limits = Limits(call_mib=24, files=3, file_mib=1, total_mib=4)
    faults = ("killed", "failed", "slow")
    work = tmp_path / "work"
    printed = rehearse_long_enough(
        plan, sources, work, SECONDS, capfd, faults=faults, limits=limits
    )
    assert re.search(r"watch, lease ended +lost", printed)
    assert "lite: failed (jdsr train ended with 1 and left no weights)" in printed
    assert "everything was retrieved except lite, which was expected to fail" in printed
    origins = weights_in(work / "results")
    assert set(origins) == {"paper_x4.safetensors", "paper_x8.safetensors"}
    assert "paper_x4-so-far.safetensors" in origins["paper_x4.safetensors"]
    assert "parser.safetensors" in origins["paper_x8.safetensors"]
    assert "identity.safetensors" in origins["paper_x8.safetensors"]
    assert not list(work.glob("machine-*/root"))


def test_a_rehearsal_with_missing_results_fails(
    sources: StagingSources, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = 'reserve = 1\ncommand = ["false"]\n[[model]]\nname = "x"\nrecipe = "lite_x4"\n'
    (tmp_path / "plan.toml").write_text(text, encoding="utf-8")
    code = rehearse(CHECKOUT, tmp_path / "plan.toml", sources, seconds=10, work=tmp_path / "work")
    assert code == 1
    assert "FAILED: x: jdsr train ended with 1 and left no weights" in capfd.readouterr().out
    with pytest.raises(UsageError, match="is not empty"):
        rehearse(CHECKOUT, tmp_path / "plan.toml", sources, seconds=10, work=tmp_path / "work")


@pytest.mark.parametrize("name", recipe_files.names())
def test_every_recipe_has_a_tiny_variant_with_the_same_stages_and_terms(
    name: str, tmp_path: Path
) -> None:
    text, no_weights_expected = tiny_recipe(name)
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    small, large = recipe_files.load(str(tmp_path / "tiny.toml")), recipe_files.load(name)
    assert not no_weights_expected
    for part in ("name", "stages", "loss", "camera"):
        assert getattr(small, part) == getattr(large, part)
    network = build(small.generator.network, small.generator.arguments)
    assert sum(one.numel() for one in network.parameters()) < 1_000_000


@pytest.mark.parametrize(("name", "stage"), [("lease_x4", "identity"), ("lite_x4", "joint")])
def test_a_tiny_recipe_can_fail_in_one_stage(name: str, stage: str, tmp_path: Path) -> None:
    text, no_weights_expected = tiny_recipe(name, failing=True)
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    recipe = recipe_files.load(str(tmp_path / "tiny.toml"))
    assert no_weights_expected == (stage == "joint")
    for one in ("parser", "identity", "denoise", "joint"):
        assert (recipe.steps(one).rate == DIVERGING_RATE) == (one == stage)


def test_a_terminated_rehearsal_leaves_no_processes(
    plan: Path, sources: StagingSources, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    words = ["rehearse", str(plan), "--faces", str(sources.faces), "--masks", str(sources.masks)]
    words += ["--features", str(sources.features), "--parsing", str(sources.parsing)]
    words += ["--work", str(work), "--seconds", "600", "--fault", "slow"]
    workspace = LeaseWorkspace(work / "machine-2" / "root")
    with subprocess.Popen(
        [sys.executable, "-m", "jdsr_train.lease", *words],
        cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'train'}"},
    ) as rehearsed:  # fmt: skip
        until = time.monotonic() + 600
        while not is_locked(workspace.out / LOCK) and time.monotonic() < until:
            time.sleep(0.1)
        assert is_locked(workspace.out / LOCK)
        assert running(str(work))
        rehearsed.terminate()
        assert rehearsed.wait(600) == EXIT_INTERRUPTED
    assert not running(str(work))
    assert not workspace.root.exists()


def running(name: str) -> list[str]:
    """Return the ids of the processes whose command line contains a name."""
    processes = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if name.encode() in path.read_bytes():
                processes.append(path.parent.name)
    return processes


REAL = """
[[model]]
name = "x4"
recipe = "lease_x4"
uses = ["masks", "features", "parsing"]
first = ["parser"]
"""


def test_weights_of_jdsr_train_are_retrieved(
    sources: StagingSources, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.toml").write_text(REAL, encoding="utf-8")
    work = tmp_path / "work"
    printed = rehearse_long_enough(
        tmp_path / "plan.toml", sources, work, REAL_SECONDS, capfd, limits=Limits(call_mib=24)
    )
    assert "all imports succeeded" in printed
    assert "x4, joint: step" in printed
    assert set(weights_in(work / "results")) == {"paper_x4.safetensors"}
    loaded = load_generator(work / "results" / "paper_x4.safetensors", "cpu", "float32")
    assert isinstance(loaded.network, JDSRGenerator)
