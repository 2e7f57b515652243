"""Our own large files: fetched by name from a folder or an address, whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from weights_home import Home

from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsError, WeightsMissingError
from jdsr_cli.weights import conditions, entry, load_generator, obtain, verify
from jdsr_cli.weights.downloading import SOURCE_VARIABLE, address

CONTENT = b"weights of a large generator" * 20_000


@pytest.fixture
def stick(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """List a file that does not travel along and lies on a stick."""
    monkeypatch.delenv(SOURCE_VARIABLE, raising=False)
    listed = home.describe("large", "large.safetensors", CONTENT, carried=False)
    home.write(home.override, [listed])
    folder = tmp_path / "stick"
    folder.mkdir()
    (folder / "large.safetensors").write_bytes(CONTENT)
    return folder


@pytest.fixture
def server(stick: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = partial(Quiet, directory=str(stick))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


def test_a_file_that_was_never_fetched_is_no_fault(stick: Path) -> None:
    (one, *_) = conditions(hashed=True)
    assert (one.name, one.state, one.carried) == ("large", "missing", False)
    with pytest.raises(WeightsMissingError, match="jdsr weights fetch large") as raised:
        load_generator("large")
    assert entry("large").sha256 in str(raised.value)
    assert f"{len(CONTENT):,} bytes" in str(raised.value)


def test_a_folder_and_the_environment_are_sources(
    home: Home, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsMissingError, match="--from"):
        obtain("large")
    path = obtain("large", source=str(stick))
    assert path == home.cache / "large.safetensors" == verify(entry("large"))
    assert path.read_bytes() == CONTENT
    path.unlink()
    monkeypatch.setenv(SOURCE_VARIABLE, str(stick))
    assert obtain("large") == path
    assert obtain("large", source="https://not.asked.invalid") == path  # it is here already


def test_an_address_is_a_source(home: Home, server: str) -> None:
    assert obtain("large", source=f"{server}/").read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1], b"x" + CONTENT[1:]])
def test_altered_bytes_are_not_kept(home: Home, stick: Path, content: bytes) -> None:
    (stick / "large.safetensors").write_bytes(content)
    with pytest.raises(WeightsError):
        obtain("large", source=str(stick))
    assert not list(home.cache.iterdir())
    if len(content) == len(CONTENT):
        with pytest.raises(WeightsCorruptError, match="SHA-256"):
            obtain("large", source=str(stick))


def test_a_source_without_the_file_says_what_to_do(home: Home, stick: Path, server: str) -> None:
    (stick / "large.safetensors").unlink()
    for source in (str(stick), server):
        with pytest.raises(WeightsError, match="download failed") as raised:
            obtain("large", source=source)
        assert str(home.cache / "large.safetensors") in str(raised.value)


def test_what_is_no_place_is_refused(stick: Path) -> None:
    with pytest.raises(UsageError, match="neither a folder"):
        obtain("large", source="ftp://somewhere/else")


def test_addresses(stick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert address("a b.pth", "https://host/x/", None) == "https://host/x/a%20b.pth"
    assert address("a.pth", None, "https://published/a.pth") == "https://published/a.pth"
    assert address("a.pth", None, None) is None
    assert address("a.pth", str(stick), "https://published/a.pth") == (stick / "a.pth").as_uri()
    monkeypatch.setenv(SOURCE_VARIABLE, "https://mirror")
    assert address("a.pth", None, "https://published/a.pth") == "https://mirror/a.pth"
