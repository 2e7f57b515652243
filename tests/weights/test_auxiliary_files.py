"""Files of others: found, checked, and fetched (from file addresses here)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from weights_home import Home

from jdsr_cli.errors import (
    OutputError,
    UsageError,
    WeightsCorruptError,
    WeightsError,
    WeightsMissingError,
)
from jdsr_cli.weights import AUXILIARY, AuxiliaryFile, auxiliary, auxiliary_entry, fetch
from jdsr_cli.weights.condition import conditions, examine_auxiliary, obtain

SHARED = Path(__file__).parents[3] / "shared" / "weights"
DATA = b"weights of others" * 40_000

Install = Callable[..., AuxiliaryFile]


@pytest.fixture
def install(home: Home, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make the only file of others one whose release is a file on this machine."""
    release = home.root / "release.pth"
    release.write_bytes(DATA)

    def put(**changes: object) -> AuxiliaryFile:
        digest = hashlib.sha256(DATA).hexdigest()
        plain = AuxiliaryFile("net", "net.pth", release.as_uri(), digest, len(DATA), "a test")
        made = replace(plain, **changes)  # type: ignore[arg-type]
        for module in ("auxiliary_files", "condition"):
            monkeypatch.setattr(f"jdsr_cli.weights.{module}.AUXILIARY", (made,))
        return made

    return put


class Recorder:
    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def begin(self, task: str, total: int | None) -> None:
        self.calls.append(("begin", task, total))

    def advance(self, task: str, units: int = 1) -> None:
        self.calls.append(("advance", task, units))

    def end(self, task: str) -> None:
        self.calls.append(("end", task))

    def note(self, message: str) -> None:
        self.calls.append(("note", message))


def test_table() -> None:
    names = [one.name for one in AUXILIARY]
    assert names[:2] == ["retinaface-mobile", "retinaface-r50"]
    assert len(set(names)) == len({one.file for one in AUXILIARY}) == len(AUXILIARY) == 6
    for one in AUXILIARY:
        assert re.fullmatch(r"[0-9a-f]{64}", one.sha256)
        start = "https://github.com/xinntao/facexlib/releases/download/v0."
        assert one.url.startswith(start)
        assert one.url.endswith(f"/{one.file}")
        assert auxiliary_entry(one.name) is auxiliary_entry(one.file) is one


def test_missing_says_where_to_get_it_and_where_to_put_it(home: Home) -> None:
    with pytest.raises(WeightsMissingError) as raised:
        auxiliary("retinaface-r50")
    message = str(raised.value)
    wanted = auxiliary_entry("retinaface-r50")
    assert wanted.url in message
    assert str(home.cache / wanted.file) in message
    assert "jdsr weights fetch retinaface-r50" in message


def test_unknown_name(home: Home) -> None:
    with pytest.raises(UsageError, match="Did you mean retinaface-mobile"):
        auxiliary("retinaface-mobil")
    with pytest.raises(UsageError, match="Known are"):
        fetch("yolo")


def test_fetch_puts_a_checked_file_into_the_cache(home: Home, install: Install) -> None:
    install()
    told = Recorder()
    path = fetch("net", told)
    assert path == home.cache / "net.pth" == auxiliary("net")
    assert path.read_bytes() == DATA
    assert [one.name for one in home.cache.iterdir()] == ["net.pth"]
    assert told.calls[0] == ("begin", "net.pth", len(DATA))
    assert told.calls[-1] == ("end", "net.pth")
    assert sum(int(str(call[2])) for call in told.calls[1:-1]) == len(DATA)
    assert len(told.calls) > 3


def test_fetch_leaves_a_file_that_is_here(home: Home, install: Install) -> None:
    install(url=(home.root / "nowhere").as_uri())
    home.override.mkdir()
    (home.override / "net.pth").write_bytes(DATA)
    told = Recorder()
    assert fetch("net", told) == home.override / "net.pth"
    assert told.calls == []


def test_wrong_bytes_are_not_kept_and_the_hash_is_not_oversold(
    home: Home, install: Install
) -> None:
    install(sha256="0" * 64)
    with pytest.raises(WeightsCorruptError, match="not checked against a download"):
        fetch("net")
    assert list(home.cache.iterdir()) == []


def test_an_altered_file_is_refused(home: Home, install: Install) -> None:
    install()
    fetch("net").write_bytes(b"altered")
    with pytest.raises(WeightsCorruptError, match="Delete it and run `jdsr weights fetch net`"):
        auxiliary("net")
    with pytest.raises(WeightsCorruptError):
        fetch("net")


def test_a_second_accepted_hash(home: Home, install: Install) -> None:
    install(sha256="0" * 64, also=(hashlib.sha256(DATA).hexdigest(),))
    assert fetch("net").read_bytes() == DATA


def test_failed_download_says_what_to_do_by_hand(home: Home, install: Install) -> None:
    wanted = install(url=(home.root / "nowhere").as_uri())
    with pytest.raises(WeightsError, match="download failed") as raised:
        fetch("net")
    assert raised.value.exit_code == 5
    assert wanted.url in str(raised.value)
    assert str(home.cache / "net.pth") in str(raised.value)
    assert list(home.cache.iterdir()) == []


def test_cut_download_is_told_from_an_altered_file(
    home: Home, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    parts = iter([DATA[:1000], b""])
    monkeypatch.setattr("jdsr_cli.weights.auxiliary_files._read", lambda *_: next(parts))
    with pytest.raises(WeightsError, match=f"ended after 1,000 of {len(DATA):,} bytes"):
        fetch("net")
    assert list(home.cache.iterdir()) == []


def test_cache_that_cannot_be_written(home: Home, install: Install) -> None:
    install()
    (home.root / "cache").touch()
    with pytest.raises(OutputError, match="cannot be written") as raised:
        fetch("net")
    assert raised.value.exit_code == 6


def test_conditions(home: Home, install: Install) -> None:
    install()
    good, bad = home.add("good"), home.add("bad")
    bad.write_bytes(b"bad")
    home.add("gone").unlink()
    quick = conditions(hashed=False)
    assert [(one.name, one.state, one.carried) for one in quick] == [
        ("good", "present", True),
        ("bad", "present", True),
        ("gone", "missing", True),
        ("net", "missing", False),
    ]
    fetch("net")
    found = conditions(hashed=True)
    assert [one.state for one in found] == ["verified", "unusable", "missing", "verified"]
    assert found[0].path == good
    assert found[0].error is None
    assert isinstance(found[1].error, WeightsCorruptError)
    assert found[1].path == bad
    assert found[2].path is None
    assert [one.name for one in conditions(["net", "good"], hashed=True)] == ["net", "good"]
    with pytest.raises(UsageError, match="Did you mean good"):
        conditions(["god"], hashed=True)


def test_files_of_others_need_no_manifest(home: Home, install: Install) -> None:
    install()
    assert [one.state for one in examine_auxiliary()] == ["missing"]
    obtain("net")
    assert [one.state for one in conditions(["net"], hashed=True)] == ["verified"]
    with pytest.raises(WeightsMissingError, match="no manifest"):
        conditions(hashed=True)


def test_obtain_takes_either_kind(home: Home, install: Install) -> None:
    install()
    path = home.add("tiny")
    assert obtain("tiny") == path
    assert obtain("net.pth") == home.cache / "net.pth"
    path.unlink()
    with pytest.raises(WeightsMissingError):
        obtain("tiny")


@pytest.mark.shared
def test_the_shared_mobile_detector_is_accepted(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = auxiliary_entry("retinaface-mobile")
    if not (SHARED / wanted.file).is_file():
        pytest.skip("../shared/weights is not here")
    monkeypatch.setenv("JDSR_WEIGHTS", str(SHARED))
    assert auxiliary("retinaface-mobile") == SHARED / wanted.file
