"""Files are written completely or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from jdsr_cli.atomic import atomic_file, clear_partials
from jdsr_cli.errors import InputMissingError, OutputError


def test_folders_are_created_and_files_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    for text in ("one", "two"):
        with atomic_file(path, make_folder=True) as temporary:
            assert temporary != path
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_the_file_does_not_exist_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"


def test_readers_read_the_old_content_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_text("old")
    with path.open() as reader:
        with atomic_file(path) as temporary:
            temporary.write_text("new and longer")
            assert path.read_text() == "old"
        assert reader.read() == "old"  # the file was replaced, not overwritten
    assert path.read_text() == "new and longer"


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_file(path, make_folder=True) as temporary:
        _fail_after(temporary.write_text("half"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def _fail_after(_: int) -> None:
    raise ZeroDivisionError


def test_a_killed_process_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_text("old")
    code = (
        "import os, sys; from pathlib import Path; from jdsr_cli.atomic import atomic_file\n"
        "with atomic_file(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode == 9
    assert path.read_text() == "old"
    (partial,) = set(tmp_path.iterdir()) - {path}
    clear_partials(tmp_path)
    assert not partial.exists()
    assert path.read_text() == "old"


def test_a_folder_that_cannot_be_created_is_an_output_error(tmp_path: Path) -> None:
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


def test_an_input_error_in_the_block_is_not_converted(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError), atomic_file(tmp_path / "a.bin"):
        raise InputMissingError("absent")
    assert list(tmp_path.iterdir()) == []
