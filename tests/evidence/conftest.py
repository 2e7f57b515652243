"""Finished results that the tests of this folder copy and alter."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jdsr_cli import CropSettings, RestoreSettings, crop_faces, restore


@pytest.fixture(scope="session")
def finished(
    clip: Path, tiny_weights: Callable[[int], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder with results of two runs; tests must not modify it."""
    out = tmp_path_factory.mktemp("finished")
    settings = RestoreSettings(
        weights=str(tiny_weights(64)), detector="centerface", device="cpu", min_face=24.0, shots=1,
        frame_scale=1,
    )  # fmt: skip
    assert restore([clip], out / "restored", settings).exit_code == 0
    cropping = CropSettings(detector="centerface", device="cpu", detect_every=3)
    assert crop_faces([clip], out / "cropped", cropping).exit_code == 0
    return out


@pytest.fixture
def result(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of the result of `restore`, to be altered."""
    return Path(shutil.copytree(finished / "restored" / "street", tmp_path / "street"))


@pytest.fixture
def cropped(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of the result of `crop_faces`, to be altered."""
    return Path(shutil.copytree(finished / "cropped" / "street", tmp_path / "crops"))
