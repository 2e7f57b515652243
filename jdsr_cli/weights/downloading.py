"""Download of a file within bounds: size, speed, time, and the addresses to which it may lead."""

from __future__ import annotations

import hashlib
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from queue import Empty, Full, Queue
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from jdsr_cli.atomic import atomic_file
from jdsr_cli.version import __version__

SCHEMES = ("https", "http")
READ_ERRORS = (OSError, HTTPException, ValueError)
"""Errors that are raised on opening and reading an address."""
TIMEOUT = 30.0
"""Seconds without a byte after which a download fails."""
SPEED_SECONDS, LEAST_SPEED = 60.0, 4096
"""Period in seconds, and bytes in a second that must arrive on average in each."""
MOST_SECONDS = 4 * 3600.0
"""Seconds after which a download fails."""
MOST_BYTES = 2_000_000_000
"""Largest file whose size is not known beforehand."""
CHUNK = 1 << 18
_WAITING = 4
"""Most chunks that wait."""


@dataclass(frozen=True)
class Download:
    """The start of a download."""

    size: int | None
    """Bytes that the server states, None if it states none."""
    chunks: Iterator[bytes]
    """The content."""
    close: Callable[[], None]
    """Ends the download."""


def download(address: str) -> Download:
    """Begin to download a file.

    Proxies, certificates and kinds of addresses are those of the standard library. Only http and
    https are followed, and never from https to http. The network is used by another thread, so that
    a server that sends single bytes does not delay the limits.

    Args:
        address: An https:// or http:// address.

    Raises:
        OSError, ValueError, http.client.HTTPException: There is no such file, or no response; also
            while chunks are read.

    """
    connection = _Connection(address)
    start = connection.next()
    assert start is None or isinstance(start, int)
    return Download(start, connection.chunks(), connection.close)


def download_file(address: str, path: Path, digest_start: str) -> None:
    """Download a file of at most `MOST_BYTES`, which appears under its name when it is complete.

    Args:
        address: An https:// or http:// address.
        path: The file; missing folders are created.
        digest_start: First digits of its SHA-256.

    Raises:
        OSError, ValueError, http.client.HTTPException: It cannot be downloaded or written, or is
            another file.

    """
    found = download(address)
    digest, received = hashlib.sha256(), 0
    with closing(found), atomic_file(path, make_folder=True) as temporary:
        with temporary.open("wb") as out:
            for chunk in found.chunks:
                received += len(chunk)
                if received > MOST_BYTES:
                    raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
                digest.update(chunk)
                out.write(chunk)
        if not digest.hexdigest().startswith(digest_start):
            raise ValueError(f"its SHA-256 is {digest.hexdigest()}, not {digest_start}...")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https, but never from https to http."""

    def http_error_302(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: HTTPMessage
    ) -> Any:
        """Follow a redirect; its body is not needed, and may have no end."""
        fp.close()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
        headers: HTTPMessage, newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        """Return the request for the new address."""
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme.lower()
        if after not in SCHEMES or (before, after) == ("https", "http"):
            raise URLError(f"the server redirects from {before} to {after}: {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(address: str) -> Any:
    """Open an address with the handlers for http and https alone."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(), urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(), _SafeRedirects(),
    ):  # fmt: skip
        opener.add_handler(handler)
    headers = {"User-Agent": f"jdsr/{__version__}", "Accept-Encoding": "identity"}
    try:
        return opener.open(urllib.request.Request(address, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()  # otherwise the connection stays open
        raise


class _Connection:
    """Reads an address in a thread; `next` returns its size and then its chunks, with limits."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._began = self._period = time.monotonic()
        self._received = 0
        self._results: Queue[int | bytes | Exception | None] = Queue(_WAITING)
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="download", daemon=True).start()

    def next(self) -> int | bytes | None:
        """Return the next result of the thread.

        Raises:
            TimeoutError: A limit of time or speed is passed.
            OSError, ValueError, http.client.HTTPException: What the thread met.

        """
        while True:
            self._check_time()
            try:
                result = self._results.get(timeout=min(1.0, SPEED_SECONDS / 4))
            except Empty:
                continue
            if isinstance(result, Exception):
                raise result
            if isinstance(result, bytes):
                self._received += len(result)
            return result

    def chunks(self) -> Iterator[bytes]:
        """Yield the content."""
        while chunk := self.next():
            assert isinstance(chunk, bytes)
            yield chunk

    def close(self) -> None:
        """Let the thread end."""
        self._stopped.set()

    def _check_time(self) -> None:
        now = time.monotonic()
        slow = None
        if now - self._began > MOST_SECONDS:
            slow = f"it took longer than {MOST_SECONDS:.0f} s"
        elif now - self._period > SPEED_SECONDS:
            if self._received < LEAST_SPEED * (now - self._period):
                slow = f"fewer than {LEAST_SPEED:,} bytes a second arrived in {SPEED_SECONDS:g} s"
            self._period, self._received = now, 0
        if slow is not None:
            self._stopped.set()
            raise TimeoutError(slow)

    def _run(self) -> None:
        try:
            with _open(self._address) as response:
                self._put(_stated_size(response.headers))
                while not self._stopped.is_set():
                    chunk = response.read1(CHUNK)
                    self._put(chunk)
                    if not chunk:
                        return
        except Exception as error:  # raised again by the reader
            self._put(error)

    def _put(self, result: int | bytes | Exception | None) -> None:
        while not self._stopped.is_set():
            try:
                self._results.put(result, timeout=0.2)
            except Full:
                continue
            return


def _stated_size(headers: HTTPMessage) -> int | None:
    """Return the size that a server states.

    Raises:
        ValueError: The content is compressed, or the size is not a number.

    """
    encoding = headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() not in ("identity", ""):
        raise ValueError(f"the server sends it compressed ({encoding})")
    stated = headers.get("Content-Length", "").strip()
    if not stated:
        return None
    if not (stated.isascii() and stated.isdecimal()):
        raise ValueError(f"the server states the size {stated}")
    return int(stated)
