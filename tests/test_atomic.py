"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import InputMissingError, OutputError


def test_it_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    for text in ("one", "two"):
        with atomic_file(path, make_folder=True) as temporary:
            assert temporary != path
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_it_leaves_all_as_it_was_when_the_block_raises(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_file(path, make_folder=True) as temporary:
        temporary.write_text(str(1 / 0))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="cannot be written"),
        atomic_file(tmp_path / "file" / "a.bin", make_folder=True),
    ):
        pytest.fail("the block must not run")


def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the disk is full"), atomic_file(tmp_path / "a.bin"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_an_input_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError), atomic_file(tmp_path / "a.bin"):
        raise InputMissingError("nothing there")
    assert list(tmp_path.iterdir()) == []
