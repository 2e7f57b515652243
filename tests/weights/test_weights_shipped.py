"""The files of the repository's folder weights/: what travels in the wheel, and what it weighs."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from jdsr_cli.weights import WeightEntry, read_manifest, sha256_of

CHECKOUT = Path(__file__).parents[2]
WEIGHTS = CHECKOUT / "weights"
MOST_CARRIED = 45_000_000
"""Bytes of the files in the wheel."""
MOST_EACH = 70_000_000
"""Bytes of one file."""
LISTED = read_manifest(WEIGHTS / "manifest.toml")


def test_the_wheel_holds_what_the_manifest_calls_carried() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    files = {place: target for place, target in included.items() if place.startswith("weights/")}
    for place, target in files.items():
        assert target == f"jdsr_cli/weights/files/{Path(place).name}"
    carried = {f"weights/{one.file}" for one in LISTED if one.carried}
    assert set(files) == carried | {"weights/manifest.toml", "weights/MODEL_CARD.md"}


def test_the_light_generators_are_carried_and_small() -> None:
    sizes = {one.name: one.bytes for one in LISTED if one.carried}
    assert set(sizes) == {"lite-x4", "lite-x8", "lite-camera"}
    assert sum(sizes.values()) < MOST_CARRIED


@pytest.mark.parametrize("listed", LISTED, ids=lambda one: one.name)
def test_files_are_what_the_manifest_says(listed: WeightEntry) -> None:
    path = WEIGHTS / listed.file
    assert path.stat().st_size == listed.bytes <= MOST_EACH
    assert sha256_of(path) == listed.sha256
    assert listed.scale * listed.lr_size == 128
