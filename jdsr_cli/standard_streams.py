"""Standard streams of a process: without control characters, and free to be closed by their reader.

Terminals obey control characters, and whoever names a file can put them into messages. A reader
that has read enough (`jdsr weights list | head -1`), or a terminal that is gone, ends no run.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

from jdsr_cli.atomic import output_error
from jdsr_cli.errors import OutputError
from jdsr_cli.file_names import as_text

_LAYOUT = re.compile(r"([\n\t])")
"""What several lines of text consist of beside characters that can be read."""
_READER_GONE = (errno.EPIPE, errno.EIO)
"""Errors of a pipe without a reader, and of a terminal that was closed."""
_STANDARD = 2
"""The largest number of a standard stream."""


class GuardedStream:
    """A text stream in which control characters are quoted; what cannot be written is dropped.

    Line breaks and tabs stay: they are part of tracebacks and warnings. Texts on one line pass
    through `jdsr_cli.cli.terminal`, which quotes them as well.

    Args:
        stream: The stream.
        quotes: Whether control characters are quoted.

    Attributes:
        fault: The first error of the stream, after which nothing is written any more.

    """

    def __init__(self, stream: TextIO, *, quotes: bool = True) -> None:
        self._stream = stream
        self._quotes = quotes
        self.fault: OSError | None = None

    @property
    def styled(self) -> GuardedStream:
        """The same stream for text with colours, which quotes nothing."""
        return GuardedStream(self._stream, quotes=False)

    def write(self, text: str) -> int:
        """Write text; return its length."""
        if self.fault is None:
            shown = "".join(map(_shown, _LAYOUT.split(text))) if self._quotes else text
            try:
                self._stream.write(shown)
            except OSError as fault:
                self._lose(fault)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is buffered."""
        if self.fault is None:
            try:
                self._stream.flush()
            except OSError as fault:
                self._lose(fault)

    def _lose(self, fault: OSError) -> None:
        """Note an error, and let what is still buffered go nowhere."""
        self.fault = fault
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _shown(part: str) -> str:
    return part if _LAYOUT.fullmatch(part) else as_text(part)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Guard standard output and standard error while the block runs.

    Streams that were closed at the start lead nowhere, so that no file that is opened later takes
    their place.

    Raises:
        OutputError: The block succeeded, but standard output could not be written, and its reader
            is not simply gone.

    """
    _open_closed()
    kept = sys.stdout, sys.stderr
    output, errors = (_guard(stream) for stream in kept)
    sys.stdout, sys.stderr = cast(TextIO, output), cast(TextIO, errors)
    succeeded = False
    try:
        yield
        succeeded = True
    except SystemExit as end:
        succeeded = not end.code
        raise
    finally:
        output.flush()
        errors.flush()
        sys.stdout, sys.stderr = kept
        if succeeded:
            _check_written(output)


def _check_written(output: GuardedStream) -> None:
    """Raise OutputError if standard output could not be written though somebody reads it."""
    if output.fault is not None and output.fault.errno not in _READER_GONE:
        what = output_error(output.fault, Path("standard output")).what
        raise OutputError(what, where="standard output", hint="Choose another place for it.")


def _open_closed() -> None:
    """Open each closed standard stream as one that leads nowhere."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STANDARD:
        os.set_inheritable(number, True)
    os.close(number)


def _guard(stream: TextIO | None) -> GuardedStream:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return GuardedStream(io.StringIO() if stream is None else stream)
