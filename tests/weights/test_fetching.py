"""Fetching weight files into the cache, from folders and from a local server."""

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
from jdsr_cli.weights import auxiliary, downloading, entry, fetch, verify

LARGE = bytes(range(256)) * 4_000


@pytest.fixture
def source_folder(folders: Folders) -> Path:
    """A folder that contains the file of `large`."""
    folder = folders.root / "source_folder"
    folder.mkdir()
    (folder / "large.safetensors").write_bytes(LARGE)
    folders.add_uncarried("large", LARGE)
    return folder


def cached(folders: Folders) -> list[str]:
    return sorted(one.name for one in folders.cache.iterdir()) if folders.cache.exists() else []


def test_a_generator_is_fetched_from_a_folder(folders: Folders, source_folder: Path) -> None:
    progress = Recorder()
    path = fetch("large", str(source_folder), progress)
    assert path == folders.cache / "large.safetensors" == verify(entry("large"))
    assert path.read_bytes() == LARGE
    assert cached(folders) == ["large.safetensors"]
    assert progress.calls[0] == ("begin", "large.safetensors", len(LARGE))
    assert progress.calls[-1] == ("end", "large.safetensors")
    assert sum(int(str(call[2])) for call in progress.calls[1:-1]) == len(LARGE)
    assert len(progress.calls) > 3


def test_a_generator_is_fetched_from_an_address(
    folders: Folders, source_folder: Path, server: FileServer
) -> None:
    server.files["/mirror/large.safetensors"] = LARGE
    path = fetch("large", f"{server.address}/mirror/?key=a%20b")
    assert path.read_bytes() == LARGE
    assert server.requested == ["/mirror/large.safetensors?key=a%20b"]


def test_the_recorded_address_is_used_without_a_source(
    folders: Folders, source_folder: Path, server: FileServer
) -> None:
    server.files["/release/blob"] = b"published"
    folders.add_uncarried("published", b"published", url=f"{server.address}/release/blob")
    assert fetch("published").read_bytes() == b"published"


def test_a_given_source_takes_precedence_over_the_recorded_address(
    folders: Folders, source_folder: Path, server: FileServer, install: Install
) -> None:
    install()
    (source_folder / "net.pth").write_bytes(DATA)
    assert fetch("net", str(source_folder)) == auxiliary("net")
    assert server.requested == []


def test_the_error_without_a_source_states_file_and_path(
    folders: Folders, source_folder: Path
) -> None:
    with pytest.raises(WeightsMissingError) as raised:
        fetch("large")
    message = str(raised.value)
    assert "--from" in message
    assert f"{len(LARGE):,} bytes" in message
    assert hashlib.sha256(LARGE).hexdigest() in message
    assert str(folders.cache / "large.safetensors") in message
    assert cached(folders) == []


def test_an_existing_file_is_only_verified(folders: Folders, install: Install) -> None:
    path = folders.add("tiny")
    progress = Recorder()
    assert fetch("tiny", "ftp://nowhere", progress) == path
    assert progress.calls == []
    path.write_bytes(b"altered")
    with pytest.raises(WeightsCorruptError):
        fetch("tiny")


def test_a_missing_carried_file_can_be_fetched(folders: Folders) -> None:
    path = folders.add("tiny")
    path.rename(folders.root / path.name)
    assert fetch("tiny", str(folders.root)) == folders.cache / path.name
    assert verify(entry("tiny")) == folders.cache / path.name


def test_file_names_are_accepted_and_unknown_names_refused(
    folders: Folders, install: Install
) -> None:
    install()
    folders.add("tiny")
    assert fetch("net.pth") == folders.cache / "net.pth"
    with pytest.raises(UsageError, match="Did you mean tiny"):
        fetch("tinny")


@pytest.mark.parametrize("states_length", [True, False])
@pytest.mark.parametrize("invalid", [LARGE[:-1], LARGE + b"+", LARGE[:-1] + b"x", b""])
def test_files_that_differ_from_the_record_are_discarded(
    folders: Folders, source_folder: Path, server: FileServer, invalid: bytes, states_length: bool
) -> None:
    server.files["/large.safetensors"] = invalid
    server.states_length = states_length
    (source_folder / "large.safetensors").write_bytes(invalid)
    message = "SHA-256 is" if len(invalid) == len(LARGE) else f"recorded are {len(LARGE):,}"
    for source in (str(source_folder), server.address):
        with pytest.raises(WeightsCorruptError, match=f"{message}.*discarded") as raised:
            fetch("large", source)
        assert raised.value.where is not None
        assert raised.value.where.startswith(source)
        assert cached(folders) == []


def test_reading_stops_after_the_recorded_size(
    folders: Folders, source_folder: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "CHUNK", 1000)
    server.files["/large.safetensors"] = LARGE * 2
    server.states_length = False
    progress = Recorder()
    with pytest.raises(WeightsCorruptError, match="recorded are"):
        fetch("large", server.address, progress)
    received = sum(int(str(call[2])) for call in progress.calls[1:-1])
    assert len(LARGE) < received <= len(LARGE) + 1000


def test_a_different_size_is_refused_before_the_download(
    folders: Folders, source_folder: Path, server: FileServer
) -> None:
    server.files["/large.safetensors"] = LARGE * 2
    progress = Recorder()
    with pytest.raises(WeightsCorruptError, match="recorded are"):
        fetch("large", server.address, progress)
    assert progress.calls == []


def test_the_message_of_an_auxiliary_hash_names_its_origin(
    folders: Folders, install: Install
) -> None:
    install(sha256="0" * 64)
    with pytest.raises(WeightsCorruptError, match="not checked against a download"):
        fetch("net")
    assert cached(folders) == []


@pytest.mark.parametrize("name", ["large", "net"])
def test_a_truncated_download_is_distinguished_from_an_altered_file(
    folders: Folders, source_folder: Path, server: FileServer, install: Install, name: str
) -> None:
    install()
    file, data = {"large": ("large.safetensors", LARGE), "net": ("net.pth", DATA)}[name]
    server.files[f"/{file}"] = data
    server.truncate_at = 1000
    with pytest.raises(WeightsError, match="download failed") as raised:
        fetch(name, server.address)
    assert not isinstance(raised.value, WeightsCorruptError)
    assert str(folders.cache / file) in str(raised.value)
    assert cached(folders) == []


def test_the_error_for_a_failed_download_states_address_and_path(
    folders: Folders, install: Install
) -> None:
    listed = install(url="http://127.0.0.1:1/net.pth")
    with pytest.raises(WeightsError, match="download failed") as raised:
        fetch("net")
    assert raised.value.exit_code == 5
    assert listed.url in str(raised.value)
    assert listed.sha256 in str(raised.value)
    assert str(folders.cache / "net.pth") in str(raised.value)
    assert cached(folders) == []


def test_a_source_without_the_file_is_an_error(
    folders: Folders, source_folder: Path, server: FileServer
) -> None:
    with pytest.raises(WeightsError, match="404"):
        fetch("large", server.address)
    with pytest.raises(WeightsMissingError, match="no such file") as raised:
        fetch("large", str(folders.override))
    assert str(folders.override / "large.safetensors") in str(raised.value)
    (source_folder / "large.safetensors").unlink()
    (source_folder / "large.safetensors").mkdir()
    with pytest.raises(WeightsError, match="cannot be read"):
        fetch("large", str(source_folder))
    assert cached(folders) == []


def test_a_server_without_a_response_times_out(
    folders: Folders, source_folder: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer
) -> None:
    monkeypatch.setattr(downloading, "TIMEOUT", 0.1)
    server.answers.clear()
    with pytest.raises(WeightsError, match=r"download failed \(.*timed out"):
        fetch("large", server.address)


def test_a_cache_that_cannot_be_written_is_an_output_error(
    folders: Folders, source_folder: Path
) -> None:
    (folders.root / "cache").touch()
    with pytest.raises(OutputError, match=r"cannot be written.*XDG_CACHE_HOME") as raised:
        fetch("large", str(source_folder))
    assert raised.value.exit_code == 6
    assert "--out" not in str(raised.value)
