"""Temporary folders of footage, and those that killed processes left."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jdsr_cli.temporary_folders import PREFIX, TemporaryFolder, sweep_temporary_folders

OWNER = """
import sys
from jdsr_cli.temporary_folders import TemporaryFolder
folder = TemporaryFolder()
(folder.path / "copy.mp4").write_bytes(b"footage")
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_a_folder_is_removed_with_its_content(temporary: Path) -> None:
    with TemporaryFolder() as folder:
        (folder.path / "a").mkdir()
        (folder.path / "a" / "b").touch()
        (folder.path / "link").symlink_to(temporary)
        assert folder.path.parent == temporary
        assert folder.path.stat().st_mode & 0o077 == 0
    assert list(temporary.iterdir()) == []


def test_folders_of_killed_processes_are_removed_and_those_in_use_stay(temporary: Path) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", OWNER], stdin=-1, stdout=-1, text=True) as killed,
        subprocess.Popen([sys.executable, "-c", OWNER], stdin=-1, stdout=-1, text=True) as living,
        TemporaryFolder() as own,
    ):
        assert killed.stdout is not None
        assert living.stdout is not None
        lost, used = (Path(one.stdout.readline().strip()) for one in (killed, living))
        sweep_temporary_folders()
        assert lost.is_dir()
        killed.send_signal(signal.SIGKILL)
        killed.wait(600)
        with TemporaryFolder():
            assert not lost.exists()
        assert (used / "copy.mp4").read_bytes() == b"footage"
        assert own.path.is_dir()
        living.kill()


def test_other_folders_are_not_touched(temporary: Path) -> None:
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere" / ".lock").touch()
    (temporary / f"{PREFIX}link").symlink_to(temporary / "elsewhere")
    (temporary / f"{PREFIX}begun").mkdir()
    (temporary / f"{PREFIX}file").touch()
    (temporary / "jdsr-out").mkdir()
    before = sorted(path.name for path in temporary.rglob("*"))
    sweep_temporary_folders()
    assert sorted(path.name for path in temporary.rglob("*")) == before


def test_a_folder_that_cannot_be_made_is_an_error(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "absent"))
    with pytest.raises(OSError, match="absent"):
        TemporaryFolder()


def test_a_sweep_without_rights_is_silent(temporary: Path) -> None:
    (temporary / f"{PREFIX}a").mkdir()
    (temporary / f"{PREFIX}a" / ".lock").mkdir()
    sweep_temporary_folders()
    assert [path.name for path in temporary.iterdir()] == [f"{PREFIX}a"]
