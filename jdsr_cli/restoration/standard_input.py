"""Standard input as an input: a stream is stored in a temporary file, which is read like any other.

A video cannot be read from a pipe: its index may be at the end, its hash is needed before the first
frame, and the sound is read a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from jdsr_cli.atomic import HIDDEN_FOLDER, output_error, prepare_folder
from jdsr_cli.errors import MediaError, UsageError
from jdsr_cli.locks import acquire_lock
from jdsr_cli.media import STANDARD_INPUT
from jdsr_cli.progress import Progress

STEM = "stdin"
"""Name of the temporary file, and so of its results."""
LOCK = "stdin.lock"
_CHUNK = 1 << 20


def input_name(path: Path) -> str:
    """Return the name of an input for records: that of the user, `-` for standard input."""
    return STANDARD_INPUT if path.name == STEM and path.parent.name == HIDDEN_FOLDER else str(path)


@contextmanager
def stored_stream(
    inputs: Sequence[str], out: Path, stream: BinaryIO | None, progress: Progress
) -> Iterator[list[str]]:
    """Store a stream while the block runs; yield the inputs with the file in place of `-`.

    The name of the file is always the same in a folder, so that an interrupted run continues when
    the same bytes are given again.

    Args:
        inputs: Names of inputs, `-` among them.
        out: Folder of all results; created if it is missing.
        stream: The stream, read to its end; None if it is closed.
        progress: Receives the number of MiB that were stored.

    Raises:
        MediaError: The stream is empty.
        OutputError: The folder cannot be written, or another run stores a stream in it.
        UsageError: `-` is not among the inputs, or the stream is closed or a terminal.

    """
    if STANDARD_INPUT not in inputs:
        raise UsageError(
            f"no input is called {STANDARD_INPUT}", where="--stdin", hint="Give - as an input."
        )
    if stream is None:
        raise UsageError(
            "standard input is closed", where="--stdin", hint="Pass a file or a pipe to it."
        )
    if stream.isatty():
        raise UsageError(
            "standard input is a terminal", where="--stdin", hint="Pass a file or a pipe to it."
        )
    folder = prepare_folder(out) / HIDDEN_FOLDER
    file = folder / STEM
    try:
        folder.mkdir(exist_ok=True)
    except OSError as fault:
        raise output_error(fault, folder) from fault
    what = "another run reads its standard input into this folder"
    lock = acquire_lock(folder / LOCK, out, what)
    try:
        _store(stream, file, progress)
        yield [str(file) if name == STANDARD_INPUT else name for name in inputs]
    finally:
        with suppress(OSError):
            file.unlink()
        lock.release()


def _store(stream: BinaryIO, file: Path, progress: Progress) -> None:
    progress.begin("standard input (MiB)", None)
    try:
        with file.open("wb") as target:
            while block := stream.read(_CHUNK):
                target.write(block)
                progress.advance("standard input (MiB)")
            stored = target.tell()
    except OSError as fault:
        raise output_error(fault, file) from fault
    finally:
        progress.end("standard input (MiB)")
    if not stored:
        raise MediaError(
            "no bytes came from standard input",
            where=STANDARD_INPUT,
            hint="Check the command before the pipe.",
        )
