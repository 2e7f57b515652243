"""Auxiliary files of other projects: their table, their search and their verification."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from weight_folders import DATA, Folders, Install

from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.weights import AUXILIARY, auxiliary, auxiliary_entry, fetch

SHARED = Path(__file__).parents[3] / "shared" / "weights"


def test_the_table_is_consistent() -> None:
    names = [one.name for one in AUXILIARY]
    assert names[:2] == ["retinaface-mobile", "retinaface-r50"]
    assert len(set(names)) == len({one.file for one in AUXILIARY}) == len(AUXILIARY) == 6
    for one in AUXILIARY:
        assert re.fullmatch(r"[0-9a-f]{64}", one.sha256)
        start = "https://github.com/xinntao/facexlib/releases/download/v0."
        assert one.url.startswith(start)
        assert one.url.endswith(f"/{one.file}")
        assert auxiliary_entry(one.name) is auxiliary_entry(one.file) is one


def test_the_error_for_a_missing_file_states_address_and_path(folders: Folders) -> None:
    with pytest.raises(WeightsMissingError) as raised:
        auxiliary("retinaface-r50")
    message = str(raised.value)
    listed = auxiliary_entry("retinaface-r50")
    assert listed.url in message
    assert str(folders.cache / listed.file) in message
    assert "jdsr weights fetch retinaface-r50" in message


def test_an_unknown_name_suggests_the_nearest(folders: Folders) -> None:
    with pytest.raises(UsageError, match="Did you mean retinaface-mobile"):
        auxiliary("retinaface-mobil")


def test_an_altered_file_is_refused(folders: Folders, install: Install) -> None:
    install()
    fetch("net").write_bytes(b"altered")
    with pytest.raises(WeightsCorruptError, match="Delete it and run `jdsr weights fetch net`"):
        auxiliary("net")
    with pytest.raises(WeightsCorruptError):
        fetch("net")


def test_a_second_hash_is_accepted(folders: Folders, install: Install) -> None:
    install(sha256="0" * 64, also=(hashlib.sha256(DATA).hexdigest(),))
    assert auxiliary(fetch("net").name).read_bytes() == DATA


@pytest.mark.shared
def test_the_shared_mobile_detector_is_accepted(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = auxiliary_entry("retinaface-mobile")
    if not (SHARED / listed.file).is_file():
        pytest.skip("../shared/weights is absent")
    monkeypatch.setenv("JDSR_WEIGHTS", str(SHARED))
    assert auxiliary("retinaface-mobile") == SHARED / listed.file
