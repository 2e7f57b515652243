"""A run imports neither torch nor other large packages before it needs them."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "facexlib", "triton", "matplotlib", "scipy", "sympy", "numba")
"""Packages that take from a quarter of a second to some seconds to import."""
LIGHT = (
    *("jdsr_cli.cli.app", "jdsr_cli.restoration", "jdsr_cli.media", "jdsr_cli.evidence"),
    *("jdsr_cli.faces", "jdsr_cli.faces.embedding", "jdsr_cli.faces.burst"),
    *("jdsr_cli.faces.temporal_smoothing", "jdsr_cli.faces.tracking"),
    *("jdsr_cli.restoration.pipeline", "jdsr_cli.restoration.pictures"),
    *("jdsr_cli.restoration.models", "jdsr_cli.inference.loading"),
    *("jdsr_cli.evaluation.metrics.temporal",),
)

SCRIPT = """
import importlib, json, sys
modules, heavy = json.loads(sys.argv[1])
for name in modules:
    importlib.import_module(name)
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def heavy_imports(*modules: str) -> list[str]:
    """Return the large packages that a new process has imported after these modules."""
    given = json.dumps((modules, HEAVY))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("module", LIGHT)
def test_a_module_of_a_run_imports_no_large_package(module: str) -> None:
    assert heavy_imports(module) == []


def test_a_large_package_is_noticed() -> None:
    assert "scipy" in heavy_imports("scipy.optimize")
