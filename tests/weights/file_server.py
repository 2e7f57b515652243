"""A local HTTP server of files, complete or truncated."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class FileServer:
    """Serves `files` by path while the block runs.

    `states_length` is whether responses state their size, and `truncate_at` the number of bytes
    after which they end; there is no response while `answers` is not set. `requested` contains
    the requested paths with their queries.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.states_length = True
        self.truncate_at: int | None = None
        self.requested: list[str] = []
        self.answers = threading.Event()
        self.answers.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answers.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(outer) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the request's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requested.append(self.path)
                outer.answers.wait()
                # The client may have disconnected after a wrong size or a timeout.
                with suppress(ConnectionError):
                    self.answer(outer.files.get(self.path.partition("?")[0]))

            def answer(self, data: bytes | None) -> None:
                if data is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                if outer.states_length:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: outer.truncate_at])

            def log_message(self, *_: object) -> None:
                pass

        return Handler
