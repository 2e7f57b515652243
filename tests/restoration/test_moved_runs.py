"""Interrupted runs and results whose folders, or whose input, were moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import run
from killed_run import run_until_killed
from nightly_cases import mostly_nightly
from results_folder import results_in
from suite_clips import Undisturbed, file_hashes

from jdsr_cli.restoration import restore


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
    undisturbed: Undisturbed, tmp_path: Path, move: Callable[[Path], tuple[Path, Path]]
) -> None:
    case = tmp_path / "case"
    case.mkdir()
    clip = case / "walk.mkv"
    clip.write_bytes(undisturbed.clip.read_bytes())
    run_until_killed("after the second segment", clip, case / "out", undisturbed.settings)
    moved, out = move(case)
    (result,) = restore([moved], out, replace(undisturbed.settings, resume=True)).results
    assert result.error is None
    assert result.output is not None
    assert results_in(out) == ["walk"]
    assert file_hashes(result.output) == file_hashes(undisturbed.result)


def test_a_moved_result_is_verified(undisturbed: Undisturbed, tmp_path: Path) -> None:
    clip = tmp_path / "walk.mkv"
    clip.write_bytes(undisturbed.clip.read_bytes())
    assert restore([clip], tmp_path / "out", undisturbed.settings).exit_code == 0
    (tmp_path / "archive").mkdir()
    moved = (tmp_path / "out" / "walk").rename(tmp_path / "archive" / "of the walk")
    assert run("verify", str(moved)).exit_code == 0
    (moved / "faces.jsonl").write_bytes(b"")
    assert run("verify", str(moved)).exit_code != 0
