"""A local server whose connections are answered by a function, byte by byte if need be."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

Answer = Callable[[socket.socket, str, threading.Event], None]
"""Answers a request on a connection, given its path; to end when the event is set."""


class HostileServer:
    """Answers each connection by `answer` while the block runs."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requested: list[str] = []
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # The client may have disconnected at a limit.
        with connection, suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request and (part := connection.recv(65536)):
                request += part
            path = request.split(b" ", 2)[1].decode()
            self.requested.append(path)
            self.answer(connection, path, self._ended)


def respond(head: str, body: bytes = b"") -> Answer:
    """Return an answer of a status line and headers, separated by line feeds, and a body."""

    def answer(connection: socket.socket, _: str, __: threading.Event) -> None:
        lines = head.replace("\n", "\r\n")
        connection.sendall(f"HTTP/1.0 {lines}\r\n\r\n".encode("latin-1") + body)

    return answer


def trickle(start: bytes, endless: bytes) -> Answer:
    """Return an answer that begins with `start` and continues with single bytes without an end."""

    def answer(connection: socket.socket, _: str, ended: threading.Event) -> None:
        connection.sendall(start)
        while not ended.wait(0.05):
            connection.sendall(endless)

    return answer
