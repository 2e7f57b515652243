"""Whole leases played on this machine: with a stand-in for training, and with `jdsr train`."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from lease_sources import write_sources

from jdsr_train.lease.join import home
from jdsr_train.lease.limits import Limits
from jdsr_train.lease.plan import read, to_toml
from jdsr_train.lease.rehearsal import rehearse
from jdsr_train.lease.stage import Sources

CHECKOUT = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("stand_in.py")
PLAN = """
reserve = 2
command = {command}

[[model]]
name = "lite"
recipe = "lite_camera"
share = 0.4
uses = ["masks", "features"]
init = "lite-camera"

[[model]]
name = "x4"
recipe = "lease_x4"
share = 0.6
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
) -> Sources:  # fmt: skip
    return write_sources(tmp_path_factory.mktemp("sources"), write_faces, template_folder)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "plan.toml"
    command = [sys.executable, str(STAND_IN)]
    path.write_text(PLAN.format(command=command).replace("'", '"'), encoding="utf-8")
    return path


@pytest.mark.parametrize("fault", ["none", "killed", "failed", "slow"])
def test_everything_comes_home(
    fault: str, plan: Path, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_BYTES", "3000000")
    limits = Limits(call_mib=24, files=4, file_mib=1, total_mib=4)
    faults = () if fault == "none" else (fault,)
    code = rehearse(
        CHECKOUT, plan, sources, seconds=12, faults=faults, limits=limits, work=tmp_path / "work"
    )
    printed = capfd.readouterr().out
    assert code == 0, printed
