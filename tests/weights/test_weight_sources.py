"""Folders and addresses as sources of weight files."""

from __future__ import annotations

from pathlib import Path

import pytest

from jdsr_cli.errors import UsageError
from jdsr_cli.weights.fetching import origin_of


def test_a_folder_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert origin_of("a.bin", str(tmp_path)) == tmp_path / "a.bin"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert origin_of("a.bin", "~") == tmp_path / "a.bin"


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("https://host", "https://host/a%20b.bin"),
        ("https://host/", "https://host/a%20b.bin"),
        ("HTTP://host:81/deep/er//", "http://host:81/deep/er/a%20b.bin"),
        ("https://host/x?token=1&b=2#part", "https://host/x/a%20b.bin?token=1&b=2"),
    ],
)
def test_the_file_name_is_appended_to_the_path_of_an_address(source: str, address: str) -> None:
    assert origin_of("a b.bin", source) == address


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ftp://host/weights", "not an https:// or http:// address"),
        ("file:///etc", "not an https:// or http:// address"),
        ("https://", "not an https:// or http:// address"),
        ("https://[", "not an address"),
        ("/no/such/folder", "no such folder"),
        ("https:/host", "no such folder"),
        (__file__, "is a file"),
    ],
)
def test_other_sources_are_refused_in_one_line(source: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        origin_of("a.bin", source)
    assert str(raised.value).startswith(f"--from {source}: ")
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2
