"""Weight files brought into the cache, from folders and from a server on this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from file_server import FileServer
from weight_folders import DATA, Folders, Install, Recorder

from jdsr_cli.errors import (
    OutputError,
    UsageError,
    WeightsCorruptError,
    WeightsError,
    WeightsMissingError,
)
from jdsr_cli.weights import auxiliary, entry, fetch, fetching, verify

LARGE = bytes(range(256)) * 4_000


@pytest.fixture
def stick(folders: Folders) -> Path:
    """A folder that holds the file of `large`, as a USB stick would."""
    folder = folders.root / "stick"
    folder.mkdir()
    (folder / "large.safetensors").write_bytes(LARGE)
    folders.add_uncarried("large", LARGE)
    return folder


def kept(folders: Folders) -> list[str]:
    return sorted(one.name for one in folders.cache.iterdir()) if folders.cache.exists() else []


def test_a_generator_from_a_folder(folders: Folders, stick: Path) -> None:
    told = Recorder()
    path = fetch("large", str(stick), told)
    assert path == folders.cache / "large.safetensors" == verify(entry("large"))
    assert path.read_bytes() == LARGE
    assert kept(folders) == ["large.safetensors"]
    assert told.calls[0] == ("begin", "large.safetensors", len(LARGE))
    assert told.calls[-1] == ("end", "large.safetensors")
    assert sum(int(str(call[2])) for call in told.calls[1:-1]) == len(LARGE)
    assert len(told.calls) > 3


def test_a_generator_from_an_address(folders: Folders, stick: Path, server: FileServer) -> None:
    server.files["/mirror/large.safetensors"] = LARGE
    path = fetch("large", f"{server.address}/mirror/?key=a%20b")
    assert path.read_bytes() == LARGE
    assert server.asked == ["/mirror/large.safetensors?key=a%20b"]


def test_a_recorded_address_serves_where_no_source_is_named(
    folders: Folders, stick: Path, server: FileServer
) -> None:
    server.files["/release/blob"] = b"published"
    folders.add_uncarried("published", b"published", url=f"{server.address}/release/blob")
    assert fetch("published").read_bytes() == b"published"


def test_a_named_source_goes_before_the_recorded_address(
    folders: Folders, stick: Path, server: FileServer, install: Install
) -> None:
    install()
    (stick / "net.pth").write_bytes(DATA)
    assert fetch("net", str(stick)) == auxiliary("net")
    assert server.asked == []


def test_without_a_source_the_message_says_what_to_put_where(folders: Folders, stick: Path) -> None:
    with pytest.raises(WeightsMissingError) as raised:
        fetch("large")
    message = str(raised.value)
    assert "--from" in message
    assert f"{len(LARGE):,} bytes" in message
    assert hashlib.sha256(LARGE).hexdigest() in message
    assert str(folders.cache / "large.safetensors") in message
    assert kept(folders) == []


def test_a_file_that_is_here_is_only_verified(folders: Folders, install: Install) -> None:
    path = folders.add("tiny")
    told = Recorder()
    assert fetch("tiny", "ftp://nowhere", told) == path
    assert told.calls == []
    path.write_bytes(b"altered")
    with pytest.raises(WeightsCorruptError):
        fetch("tiny")


def test_a_carried_file_that_was_lost_can_be_fetched(folders: Folders) -> None:
    path = folders.add("tiny")
    path.rename(folders.root / path.name)
    assert fetch("tiny", str(folders.root)) == folders.cache / path.name
    assert verify(entry("tiny")) == folders.cache / path.name


def test_names(folders: Folders, install: Install) -> None:
    install()
    folders.add("tiny")
    assert fetch("net.pth") == folders.cache / "net.pth"
    with pytest.raises(UsageError, match="Did you mean tiny"):
        fetch("tinny")


@pytest.mark.parametrize("states_length", [True, False])
@pytest.mark.parametrize("wrong", [LARGE[:-1], LARGE + b"+", LARGE[:-1] + b"x", b""])
def test_what_is_not_as_recorded_is_not_kept(
    folders: Folders, stick: Path, server: FileServer, wrong: bytes, states_length: bool
) -> None:
    server.files["/large.safetensors"] = wrong
    server.states_length = states_length
    (stick / "large.safetensors").write_bytes(wrong)
    said = "SHA-256 is" if len(wrong) == len(LARGE) else f"recorded are {len(LARGE):,}"
    for source in (str(stick), server.address):
        with pytest.raises(WeightsCorruptError, match=f"{said}.*discarded") as raised:
            fetch("large", source)
        assert raised.value.where is not None
        assert raised.value.where.startswith(source)
        assert kept(folders) == []


def test_more_than_is_recorded_is_not_read(
    folders: Folders, stick: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "CHUNK", 1000)
    server.files["/large.safetensors"] = LARGE * 2
    server.states_length = False
    told = Recorder()
    with pytest.raises(WeightsCorruptError, match="recorded are"):
        fetch("large", server.address, told)
    received = sum(int(str(call[2])) for call in told.calls[1:-1])
    assert len(LARGE) < received <= len(LARGE) + 1000


def test_a_wrong_size_is_refused_before_the_download(
    folders: Folders, stick: Path, server: FileServer
) -> None:
    server.files["/large.safetensors"] = LARGE * 2
    told = Recorder()
    with pytest.raises(WeightsCorruptError, match="recorded are"):
        fetch("large", server.address, told)
    assert told.calls == []


def test_the_message_of_an_auxiliary_hash_names_its_origin(
    folders: Folders, install: Install
) -> None:
    install(sha256="0" * 64)
    with pytest.raises(WeightsCorruptError, match="not checked against a download"):
        fetch("net")
    assert kept(folders) == []


@pytest.mark.parametrize("name", ["large", "net"])
def test_a_truncated_download_is_distinguished_from_an_altered_file(
    folders: Folders, stick: Path, server: FileServer, install: Install, name: str
) -> None:
    install()
    file, data = {"large": ("large.safetensors", LARGE), "net": ("net.pth", DATA)}[name]
    server.files[f"/{file}"] = data
    server.cut = 1000
    with pytest.raises(WeightsError, match="download failed") as raised:
        fetch(name, server.address)
    assert not isinstance(raised.value, WeightsCorruptError)
    assert str(folders.cache / file) in str(raised.value)
    assert kept(folders) == []


def test_a_failed_download_says_what_to_do_by_hand(folders: Folders, install: Install) -> None:
    wanted = install(url="http://127.0.0.1:1/net.pth")
    with pytest.raises(WeightsError, match="download failed") as raised:
        fetch("net")
    assert raised.value.exit_code == 5
    assert wanted.url in str(raised.value)
    assert wanted.sha256 in str(raised.value)
    assert str(folders.cache / "net.pth") in str(raised.value)
    assert kept(folders) == []


def test_a_source_that_lacks_the_file(folders: Folders, stick: Path, server: FileServer) -> None:
    with pytest.raises(WeightsError, match="404"):
        fetch("large", server.address)
    with pytest.raises(WeightsMissingError, match="no such file") as raised:
        fetch("large", str(folders.override))
    assert str(folders.override / "large.safetensors") in str(raised.value)
    (stick / "large.safetensors").unlink()
    (stick / "large.safetensors").mkdir()
    with pytest.raises(WeightsError, match="cannot be read"):
        fetch("large", str(stick))
    assert kept(folders) == []


def test_a_server_that_is_silent(
    folders: Folders, stick: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer
) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", 0.1)
    server.answers.clear()
    with pytest.raises(WeightsError, match=r"download failed \(.*timed out"):
        fetch("large", server.address)


def test_a_cache_that_cannot_be_written(folders: Folders, stick: Path) -> None:
    (folders.root / "cache").touch()
    with pytest.raises(OutputError, match=r"cannot be written.*XDG_CACHE_HOME") as raised:
        fetch("large", str(stick))
    assert raised.value.exit_code == 6
    assert "--out" not in str(raised.value)
