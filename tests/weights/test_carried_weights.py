"""Weights that the package carries, and weights that are fetched by name."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from jdsr_cli.weights import WeightEntry, read_manifest

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "weights"
INSTALLED = "jdsr_cli/weights/files"
ALWAYS = {"manifest.toml", "MODEL_CARD.md"}
CARRIED_LIMIT = 45_000_000
"""Bytes of all carried files together."""


@pytest.fixture(scope="module")
def targets() -> dict[str, Any]:
    """Return hatchling's configuration of wheel and source distribution."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    configuration: dict[str, Any] = project["tool"]["hatch"]["build"]["targets"]
    return configuration


@pytest.fixture(scope="module")
def listed() -> tuple[WeightEntry, ...]:
    return read_manifest(WEIGHTS / "manifest.toml")


def test_the_wheel_contains_exactly_the_carried_files(
    targets: dict[str, Any], listed: tuple[WeightEntry, ...]
) -> None:
    included = targets["wheel"]["force-include"]
    weights = {
        source: target for source, target in included.items() if source.startswith("weights")
    }
    carried = [one for one in listed if one.carried]
    exports = {export.file for one in carried for export in one.exports.values()}
    expected = ALWAYS | exports | {one.file for one in carried}
    assert weights == {f"weights/{name}": f"{INSTALLED}/{name}" for name in expected}
    assert not any(target.startswith("weights") for target in targets["wheel"]["packages"])


def test_the_source_distribution_contains_exactly_the_carried_files(
    targets: dict[str, Any], listed: tuple[WeightEntry, ...]
) -> None:
    patterns = [one for one in targets["sdist"]["include"] if one.startswith("weights")]
    assert all(one.startswith("weights/*.") or "/lite-" in one for one in patterns)
    for name in ALWAYS | {one.file for one in listed}:
        carried = name in ALWAYS or any(one.file == name and one.carried for one in listed)
        assert any(fnmatch(f"weights/{name}", one) for one in patterns) == carried, name


def test_carried_files_are_in_the_repository(listed: tuple[WeightEntry, ...]) -> None:
    for one in listed:
        if one.carried:
            assert (WEIGHTS / one.file).stat().st_size == one.bytes


def test_carried_files_are_small(listed: tuple[WeightEntry, ...]) -> None:
    assert sum(one.bytes for one in listed if one.carried) < CARRIED_LIMIT
