"""Files over HTTP on this machine, whole or cut."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class FileServer:
    """Serves `files` by path while the block runs.

    `states_length` and `cut` say whether their size is told and after how many bytes they end;
    it is silent while `answers` is not set. `asked` holds the paths that were asked for, with
    their queries.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.states_length = True
        self.cut: int | None = None
        self.asked: list[str] = []
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
                outer.asked.append(self.path)
                outer.answers.wait()
                # Whoever asked may have gone: after a wrong size, or while this was silent.
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
                self.wfile.write(data[: outer.cut])

            def log_message(self, *_: object) -> None:
                pass

        return Handler
