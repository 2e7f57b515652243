"""Servers that lead elsewhere, send too much, too slowly or without an end, or forge lines."""

from __future__ import annotations

import gzip
import io
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hostile_server import Answer, HostileServer, respond, trickle
from weight_folders import DATA, Folders, Install

from jdsr_cli.errors import WeightsError
from jdsr_cli.weights import downloading, fetch

Serve = Callable[[Answer], HostileServer]
SIZE = len(DATA)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ExitStack() as servers:
        yield lambda answer: servers.enter_context(HostileServer(answer))


@pytest.fixture(autouse=True)
def listed(folders: Folders) -> Path:
    """A manifest with the entry `large`, whose file is not on this machine."""
    folders.add_uncarried("large", DATA)
    folders.cache.mkdir(parents=True)
    return folders.cache


def failure(address: str, cache: Path, name: str = "large") -> str:
    """Return the message of a failed download, which leaves nothing behind."""
    with pytest.raises(WeightsError) as raised:
        fetch(name, address)
    assert list(cache.iterdir()) == []
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 1500
    return str(raised.value)


def test_a_redirect_to_http_is_followed(serve: Serve, listed: Path) -> None:
    last = serve(respond(f"200 OK\nContent-Length: {SIZE}", DATA))
    first = serve(respond(f"302 Found\nLocation: {last.address}/elsewhere"))
    assert fetch("large", first.address).read_bytes() == DATA
    assert last.requested == ["/elsewhere"]


@pytest.mark.parametrize(
    "target",
    ["file://{file}", "FILE://{file}", "ftp://127.0.0.1/a", "data:text/plain,abc", "jar:file:/a"],
)
def test_redirects_lead_to_http_only(
    serve: Serve, listed: Path, tmp_path: Path, target: str
) -> None:
    (tmp_path / "secret").write_bytes(DATA)
    location = target.format(file=tmp_path / "secret")
    server = serve(respond(f"302 Found\nLocation: {location}"))
    assert re.search("redirects from http to ftp|Redirection to", failure(server.address, listed))


def test_no_redirect_leads_from_https_to_http(serve: Serve) -> None:
    server = serve(respond("200 OK", DATA))
    request = downloading.urllib.request.Request("https://host/a")
    stream = io.BytesIO()
    with pytest.raises(OSError, match="redirects from https to http"):
        downloading._SafeRedirects().http_error_302(
            request, stream, 302, "Found", {"location": server.address}  # type: ignore[arg-type]
        )  # fmt: skip
    assert stream.closed
    assert server.requested == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_the_body_of_a_redirect_is_not_read(serve: Serve, code: int) -> None:
    last = serve(respond(f"200 OK\nContent-Length: {SIZE}", DATA))
    start = f"HTTP/1.0 {code} Moved\r\nLocation: {last.address}/a\r\n\r\n".encode()
    assert fetch("large", serve(trickle(start, b"1")).address).read_bytes() == DATA


def test_circular_redirects_end(serve: Serve, listed: Path) -> None:
    server = serve(respond("302 Found\nLocation: /again"))
    assert "download failed" in failure(server.address, listed)
    assert len(server.requested) < 20


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE,
    ],
    ids=["status line", "header", "body", "chunk", "sized body"],
)
@pytest.mark.parametrize("limit", ["speed", "time"])
def test_single_bytes_do_not_last_for_ever(
    serve: Serve, listed: Path, monkeypatch: pytest.MonkeyPatch, start: bytes, limit: str
) -> None:
    if limit == "speed":
        monkeypatch.setattr(downloading, "SPEED_SECONDS", 0.3)
    else:
        monkeypatch.setattr(downloading, "MOST_SECONDS", 0.3)
        monkeypatch.setattr(downloading, "LEAST_SPEED", 0)
    server, began = serve(trickle(start, b"1")), time.monotonic()
    message = failure(server.address, listed)
    assert time.monotonic() - began < 10
    assert ("bytes a second" if limit == "speed" else "it took longer than") in message


def test_a_file_without_an_end_is_cut_off(
    serve: Serve, listed: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(bytes=None)
    monkeypatch.setattr(downloading, "MOST_BYTES", 3 * SIZE)
    monkeypatch.setattr("jdsr_cli.weights.fetching.MOST_BYTES", 3 * SIZE)

    def endless(connection: socket.socket, _: str, ended: threading.Event) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        while not ended.is_set():
            connection.sendall(DATA)

    server = serve(endless)
    assert f"it has more than {3 * SIZE:,} bytes" in failure(server.address, listed, "net")
    with pytest.raises(ValueError, match="it has more than"):
        downloading.download_file(server.address, listed / "a", "")
    assert f"recorded are {SIZE:,}" in failure(server.address, listed)
    install(bytes=SIZE)
    assert f"it has more than {2 * SIZE:,} bytes" in failure(server.address, listed, "net")


def test_a_stated_size_beyond_the_limit_is_refused_at_once(
    serve: Serve, listed: Path, install: Install
) -> None:
    install(bytes=SIZE)
    server = serve(respond("200 OK\nContent-Length: 999999999999", DATA))
    assert "it has 999,999,999,999 bytes" in failure(server.address, listed, "net")


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "gzip, gzip"])
def test_compressed_content_is_not_unpacked(serve: Serve, listed: Path, encoding: str) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    server = serve(respond(f"200 OK\nContent-Encoding: {encoding}", bomb))
    assert "compressed" in failure(server.address, listed)


@pytest.mark.parametrize(
    "head",
    [
        "404 \x1b[2Jverified\x07",
        "500 a\x85b\x9b31m",
        "404 " + "x" * 60_000,
        "999 \x1b[31m",
        "302 Found\nLocation: gopher://\x1b[31m/",
        "200 OK\nContent-Encoding: \x1b[31m",
        "200 OK\nContent-Length: 9\x1b[31m",
        "200 OK\nContent-Length: " + "9" * 5000,
        "200 OK\nContent-Length: -5",
    ],
    ids=range(9),
)
def test_words_of_a_server_forge_nothing(serve: Serve, listed: Path, head: str) -> None:
    assert "download failed" in failure(serve(respond(head)).address, listed)


@pytest.mark.parametrize("start", [b"\x1b[2J\n\n", b"SSH-2.0-\x1b[31m\r\n", b"\0" * 70_000])
def test_other_protocols_are_a_failed_download(serve: Serve, listed: Path, start: bytes) -> None:
    server = serve(lambda connection, _, __: connection.sendall(start))
    assert "download failed" in failure(server.address, listed)


def test_a_proxy_of_the_environment_is_used(
    serve: Serve, listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(respond(f"200 OK\nContent-Length: {SIZE}", DATA))
    monkeypatch.setenv("http_proxy", proxy.address)
    monkeypatch.setenv("no_proxy", "")
    assert fetch("large", "http://weights.example/folder").read_bytes() == DATA
    assert proxy.requested == ["http://weights.example/folder/large.safetensors"]


def test_a_finished_download_leaves_no_thread(serve: Serve, listed: Path) -> None:
    server = serve(trickle(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", b"1"))
    assert "has 1 bytes" in failure(server.address, listed)
    until = time.monotonic() + 10
    while any(one.name == "download" for one in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)
