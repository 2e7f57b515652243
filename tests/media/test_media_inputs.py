from __future__ import annotations

from pathlib import Path

import pytest

from jdsr_cli.errors import InputMissingError, InputUnreadableError
from jdsr_cli.media import expand_inputs
from jdsr_cli.media.inputs import check_file


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b.mp4", "a.MKV", "notes.txt", ".hidden.mp4", "clip [1].mp4", "deep/er/c.dav",
        "empty/readme.md", "raw.bin",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_a_folder_expands_to_its_media_in_order(tree: Path) -> None:
    files, errors = expand_inputs([str(tree)])
    assert names(files) == ["a.MKV", "b.mp4", "clip [1].mp4"]
    assert errors == []


def test_a_named_file_is_accepted_with_any_suffix(tree: Path) -> None:
    files, errors = expand_inputs(["raw.bin", "b.mp4", str(tree / "b.mp4"), "./b.mp4"])
    assert names(files) == ["raw.bin", "b.mp4"]
    assert errors == []


def test_patterns_are_expanded(tree: Path) -> None:
    assert names(expand_inputs(["*.mp4"])[0]) == ["b.mp4", "clip [1].mp4"]
    assert names(expand_inputs(["*"])[0]) == ["a.MKV", "b.mp4", "clip [1].mp4"]
    assert names(expand_inputs(["*.bin"])[0]) == ["raw.bin"]
    assert names(expand_inputs([f"{tree}/**/*.dav"])[0]) == ["c.dav"]
    assert names(expand_inputs(["**/*"])[0]) == ["a.MKV", "b.mp4", "clip [1].mp4", "c.dav"]
    assert names(expand_inputs(["clip [1].mp4"])[0]) == ["clip [1].mp4"]


def test_errors_do_not_affect_other_inputs(tree: Path) -> None:
    files, errors = expand_inputs(["b.mp5", "b.mp4", "none-*.mp4", "empty", "", "x\0y"])
    assert names(files) == ["b.mp4"]
    assert len(errors) == 5
    assert isinstance(errors[0], InputMissingError)
    assert "Did you mean b.mp4?" in str(errors[0])
    assert "matches no video" in str(errors[1])
    assert "directly in this folder" in str(errors[2])
    assert [type(error) for error in errors[1:4]] == [InputMissingError] * 3
    assert isinstance(errors[4], InputMissingError | InputUnreadableError)


def test_an_unreadable_folder_is_an_error(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    files, errors = expand_inputs([str(tree)])
    assert files == []
    assert isinstance(errors[0], InputUnreadableError)
    assert "Permission denied" in str(errors[0])


@pytest.mark.parametrize("target", ["nothing.mp4", "link.mp4", "none/deep.mp4"])
@pytest.mark.parametrize("name", ["link.mp4", "b.mp5"])
def test_a_link_that_leads_nowhere_is_named_as_such(tree: Path, target: str, name: str) -> None:
    (tree / name).symlink_to(target)
    _, (error,) = expand_inputs([name])
    with pytest.raises(InputMissingError) as direct:
        check_file(name)
    for found in (error, direct.value):
        assert f"is a link to {target}, which does not exist" in str(found)
        assert "Did you mean" not in str(found)
