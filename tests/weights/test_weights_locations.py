"""Search order and hashes of weight files."""

from __future__ import annotations

from pathlib import Path

import pytest
from weight_folders import Folders

from jdsr_cli.errors import WeightsCorruptError, WeightsError
from jdsr_cli.weights import locations


def test_folders_are_searched_in_order(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    carried = locations.PACKAGE_FOLDER / "files"
    assert locations.search_directories() == (folders.override, carried, folders.cache)
    monkeypatch.delenv("JDSR_WEIGHTS")
    assert locations.search_directories() == (carried, folders.cache)


def test_a_checkout_is_searched(folders: Folders) -> None:
    checkout = locations.PACKAGE_FOLDER.parents[1]
    checkout.mkdir()
    (checkout / "pyproject.toml").touch()
    assert checkout / "weights" == locations.search_directories()[2]


def test_the_cache_is_in_the_home_folder_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locations.cache_directory() == tmp_path / ".cache" / "jdsr" / "weights"


def test_the_first_folder_with_the_file_is_used(folders: Folders) -> None:
    assert locations.find_file("a.bin") is None
    for directory in (folders.cache, folders.override):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "a.bin").touch()
        assert locations.find_file("a.bin") == directory / "a.bin"


def test_hashes_are_computed_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert locations.sha256_of(path) == expected
    locations.check_digest(path, expected, expected, "")
    with pytest.raises(WeightsCorruptError, match="recorded is 00"):
        locations.check_digest(path, expected, "00", "")
    with pytest.raises(WeightsError, match="cannot be read"):
        locations.sha256_of(tmp_path)
