"""Interrupted runs and results whose folders, or whose input, were moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from killed_run import run_until_killed
from nightly_cases import mostly_nightly
from results_folder import results_in
from suite_clips import file_hashes, walk, walk_settings

from jdsr_cli.restoration import restore
from jdsr_cli.settings import RestoreSettings


@dataclass(frozen=True)
class Place:
    """A case with an input and a folder for results, and those of an uninterrupted run."""

    settings: RestoreSettings
    original: Path
    whole: Path


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    tiny_weights: Callable[[int], Path],
) -> Place:
    folder = tmp_path_factory.mktemp("moved")
    settings = walk_settings(tiny_weights(64))
    clip = walk(folder / "walk.mkv", astronaut, hopper, 20)
    assert restore([clip], folder / "whole", settings).exit_code == 0
    return Place(settings, clip, folder / "whole" / "walk")


def move_results(case: Path) -> tuple[Path, Path]:
    (case / "out").rename(case / "elsewhere")
    return case / "walk.mkv", case / "elsewhere"


def move_case(case: Path) -> tuple[Path, Path]:
    moved = case.rename(case.with_name("archive of a case"))
    return moved / "walk.mkv", moved / "out"


def move_input(case: Path) -> tuple[Path, Path]:
    (case / "evidence").mkdir()
    return (case / "walk.mkv").rename(case / "evidence" / "walk.mkv"), case / "out"


MOVES = [move_results, move_case, move_input]


@pytest.mark.parametrize("move", mostly_nightly(MOVES, [move_case]))
def test_a_killed_run_resumes_after_its_folders_were_moved(
    place: Place, tmp_path: Path, move: Callable[[Path], tuple[Path, Path]]
) -> None:
    case = tmp_path / "case"
    case.mkdir()
    clip = case / "walk.mkv"
    clip.write_bytes(place.original.read_bytes())
    run_until_killed("after the second segment", clip, case / "out", place.settings)
    moved, out = move(case)
    (result,) = restore([moved], out, replace(place.settings, resume=True)).results
    assert result.error is None
    assert result.output is not None
    assert results_in(out) == ["walk"]
    assert file_hashes(result.output) == file_hashes(place.whole)


def test_a_moved_result_is_verified(place: Place, tmp_path: Path) -> None:
    clip = tmp_path / "walk.mkv"
    clip.write_bytes(place.original.read_bytes())
    assert restore([clip], tmp_path / "out", place.settings).exit_code == 0
    (tmp_path / "archive").mkdir()
    moved = (tmp_path / "out" / "walk").rename(tmp_path / "archive" / "of the walk")
    assert run("verify", str(moved)).exit_code == 0
    (moved / "faces.jsonl").write_bytes(b"")
    assert run("verify", str(moved)).exit_code != 0
