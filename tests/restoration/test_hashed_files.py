import os
import shutil
from pathlib import Path

import pytest

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.restoration.finished_segments import StoredFile
from jdsr_cli.restoration.hashed_files import is_whole, read_hashed, write_hashed
from jdsr_cli.restoration.snapshots import Snapshot


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "000001.heads.npz"
    write_hashed(path, [b"some", b"thing"], "run")
    return path


def put_link(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to(path.with_name("other"))


def put_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


IN_ITS_PLACE = {
    "nothing": Path.unlink,
    "an empty file": lambda path: path.write_bytes(b""),
    "a folder": put_folder,
    "a link to it": put_link,
    "a pipe": put_pipe,
}


def test_the_content_is_read_again(stored: Path) -> None:
    assert is_whole(stored, "run")
    assert read_hashed(stored, "run") == b"something"


@pytest.mark.parametrize("what", IN_ITS_PLACE)
def test_what_is_no_file_counts_as_damaged(stored: Path, what: str) -> None:
    as_it_was = StoredFile.of(stored)
    IN_ITS_PLACE[what](stored)
    assert not is_whole(stored, "run")
    assert not as_it_was.is_at(stored)
    assert not as_it_was.has_size_of(stored)
    with pytest.raises((OSError, ValueError)):
        read_hashed(stored, "run")
    with pytest.raises(InputUnreadableError, match="--resume"):
        Snapshot.read(stored, "run")


def test_an_empty_file_is_not_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "000000.tracks.jsonl"
    path.write_bytes(b"")
    as_it_was = StoredFile.of(path)
    assert as_it_was.is_at(path)
    put_pipe(path)
    assert not as_it_was.is_at(path)


@pytest.mark.parametrize("name", ["000002.heads.npz", "000001.facts.npz", "000001.heads.npz.1"])
def test_a_whole_file_under_another_name_is_damaged(stored: Path, name: str) -> None:
    other = Path(shutil.copy(stored, stored.with_name(name)))
    assert not is_whole(other, "run")
    with pytest.raises(ValueError, match="damaged"):
        read_hashed(other, "run")


def test_a_whole_file_of_another_run_is_damaged(stored: Path) -> None:
    assert not is_whole(stored, "another")
    with pytest.raises(ValueError, match="damaged"):
        read_hashed(stored, "another")


@pytest.mark.parametrize("position", range(41))
def test_every_byte_counts(stored: Path, position: int) -> None:
    content = bytearray(stored.read_bytes())
    assert len(content) == 41
    content[position] ^= 1
    stored.write_bytes(content)
    assert not is_whole(stored, "run")
    with pytest.raises(ValueError, match="damaged"):
        read_hashed(stored, "run")
