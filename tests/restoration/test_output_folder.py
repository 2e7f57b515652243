import errno
from pathlib import Path

import pytest

from jdsr_cli.atomic import prepare_folder
from jdsr_cli.errors import OutputError


def test_an_unwritable_output_folder_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for folder in (file, file / "below"):
        with pytest.raises(OutputError, match="--out"):
            prepare_folder(folder)
    assert prepare_folder(tmp_path / "a" / "b").is_dir()


def test_a_folder_in_which_no_file_can_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    with pytest.raises(OutputError, match=r"No space left on device.*--out"):
        prepare_folder(tmp_path)
