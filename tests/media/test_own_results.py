"""Results of earlier runs are no inputs, unless a file of one is named."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from media.own_files import result_manifest

from jdsr_cli.errors import InputMissingError
from jdsr_cli.media import expand_inputs
from jdsr_cli.result_folders import MANIFEST_NAME, is_own_folder


@pytest.fixture
def footage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `d` of two recordings, and its results in `d/out`."""
    monkeypatch.chdir(tmp_path)
    fill("d/a.mp4", "d/day1/b.mp4")
    add_result("d/out/a")
    add_result("d/out/day1/b")
    fill("d/out/index.html", "d/out/sheet.png")
    return tmp_path / "d"


def fill(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def add_result(folder: str, **changes: Any) -> None:
    fill(f"{folder}/restored.mp4", f"{folder}/faces/1_best.png")
    (Path(folder) / MANIFEST_NAME).write_bytes(result_manifest(**changes))


def expand(*given: str, out: str = "d/out") -> tuple[list[str], list[str]]:
    """Return the files, and the notes; no name is at fault."""
    notes: list[str] = []
    files, errors = expand_inputs(given, notes.append, Path(out))
    assert errors == []
    return [str(file) for file in files], notes


@pytest.mark.parametrize(
    ("pattern", "files", "left_out"),
    [
        ("d/**/*", ["d/a.mp4", "d/day1/b.mp4"], 5),
        ("d/**/*.mp4", ["d/a.mp4", "d/day1/b.mp4"], 2),
        ("./d/../d/**/*.mp4", ["d/../d/a.mp4", "d/../d/day1/b.mp4"], 2),
        ("**/*.png", [], 3),
    ],
)
def test_a_second_run_takes_the_same_files(
    footage: Path, pattern: str, files: list[str], left_out: int
) -> None:
    if files:
        assert expand(pattern) == (
            files,
            [f"{Path(pattern)}: {left_out} files were left out, in results of jdsr"],
        )
    else:
        _, (error,) = expand_inputs([pattern], out=Path("d/out"))
        assert isinstance(error, InputMissingError)
        assert "nothing but results of jdsr" in str(error)


def test_results_elsewhere_are_known_by_their_manifest(footage: Path) -> None:
    shutil.copytree("d/out/a", "d/copied")
    shutil.move("d/out/day1", "d/day1/moved")
    Path("d/linked").symlink_to("out/a")
    files, notes = expand("d/**/*", out="elsewhere")
    assert files == ["d/a.mp4", "d/day1/b.mp4", "d/out/sheet.png"]
    assert notes[0] == "d/**/*: 8 files were left out, in results of jdsr"


def test_recordings_and_results_may_be_side_by_side(footage: Path) -> None:
    add_result("d/a")
    for given in ("d/**/*", "d/*", "d"):
        files, notes = expand(given, out="d")
        assert files[0] == "d/a.mp4"
        assert not any("d/a/" in file for file in files)
        assert all("restored" not in note for note in notes)


def test_a_folder_of_results_is_not_called_a_folder_that_was_not_searched(footage: Path) -> None:
    assert expand("d") == (
        ["d/a.mp4"],
        ["d: the folder day1 was not searched (quote a pattern: 'd/**/*')"],
    )


@pytest.mark.parametrize("given", ["d/out", "d/out/a", "d/out/a/faces", "d/out/day1"])
def test_folders_that_the_shell_names_are_left_out(footage: Path, given: str) -> None:
    """`jdsr restore d/*` names `d/out` as well."""
    (footage / "out" / "sheet.png").unlink()
    files, notes = expand("d/a.mp4", given)
    assert files == ["d/a.mp4"]
    assert [note for note in notes if note.startswith(f"{given}: ") and "left out" in note]
    _, (error,) = expand_inputs([given], out=Path("d/out"))
    assert "Name a file of a result" in str(error)


def test_a_file_that_is_named_is_taken_wherever_it_is(footage: Path) -> None:
    for name in ("d/out/a/restored.mp4", "d/out/a/faces/1_best.png"):
        assert expand(name) == ([name], [])


def test_work_that_is_not_finished_is_left_out(footage: Path) -> None:
    fill("d/.c.partial/results/restored.mp4", "d/.jdsr/stdin.mp4")
    files, _ = expand("d/.*/**/*.mp4", "d/*.mp4", out="elsewhere")
    assert files == ["d/a.mp4"]


@pytest.mark.parametrize(
    "changes",
    [
        {"command": "build"}, {"command": None}, {"command": ["restore"]}, {"input": None},
        {"input": {"file": "a", "sha256": "0"}}, {"outputs": "all"}, {"outputs": [1]},
    ],
)  # fmt: skip
def test_manifests_of_other_programs_make_no_results(
    footage: Path, changes: dict[str, Any]
) -> None:
    add_result("d/app", **changes)
    assert "d/app/restored.mp4" in expand("d/**/*.mp4")[0]


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b"\xff", b"null", b'{"a": NaN}'])
def test_what_is_no_manifest_is_read_with_caution(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(content)
    assert not is_own_folder(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_manifest_that_is_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST_NAME)
    assert not is_own_folder(tmp_path)
