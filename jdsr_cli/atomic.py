"""Atomic writing: a file appears under its name only when it is complete."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jdsr_cli.errors import JdsrError, OutputError
from jdsr_cli.file_names import shortened

_REASONS = {
    errno.ENOSPC: ("the disk is full", "Free some space or choose another --out."),
    errno.EDQUOT: ("the disk quota is used up", "Free some space or choose another --out."),
    errno.EFBIG: ("the file would exceed the size limit", "Choose another --out."),
    errno.EROFS: ("the file system is read-only", "Choose another --out."),
    errno.EACCES: ("writing is not permitted here", "Choose another --out."),
    errno.EPERM: ("writing is not permitted here", "Choose another --out."),
    errno.ENOENT: ("the folder does not exist", "Create it or choose another --out."),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "Choose another --out."),
    errno.EISDIR: ("is a folder", "Remove it, or choose another name."),
    errno.EEXIST: ("a file has this name", "Remove it, or choose another --out."),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter name."),
}


_STEM_ROOM = 80
"""Bytes of the stem of a file in the name of the incomplete one."""


def output_error(exc: Exception, path: Path) -> OutputError:
    """Return the `OutputError` for an error of the operating system or FFmpeg while writing."""
    number = getattr(exc, "errno", None)
    if number in _REASONS:
        what, hint = _REASONS[number]
        return OutputError(f"cannot be written: {what}", where=path, hint=hint)
    reason = getattr(exc, "strerror", None) or str(exc)
    return OutputError(f"cannot be written ({reason})", where=path, hint="Choose another path.")


def partial_name(path: Path) -> Path:
    """Return a hidden, unused name beside `path`, with the same suffix."""
    stem = shortened(path.stem, _STEM_ROOM)
    return path.with_name(f".{stem}.{secrets.token_hex(4)}.partial{path.suffix}")


def clear_partials(folder: Path, spared: Collection[str] = ()) -> None:
    """Remove incomplete files of killed processes from a folder and its subfolders.

    Args:
        folder: The folder.
        spared: Ends of the names of files that other processes may be writing.

    Raises:
        OSError: A file cannot be removed.

    """
    for path in folder.rglob(".*.partial*"):
        if not path.name.endswith(tuple(spared)):
            path.unlink(missing_ok=True)


def create_partial(path: Path) -> Path:
    """Create the empty file that will become `path`, and return its name.

    Raises:
        OutputError: The folder is missing, read-only or full, or `path` is a folder.

    """
    partial = partial_name(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with suppress(FileNotFoundError):
            path.lstat()
        partial.open("xb").close()
    except OSError as exc:
        raise output_error(exc, path) from exc
    return partial


def publish(partial: Path, path: Path) -> None:
    """Flush `partial` to the disk and rename it to `path`, in one step.

    Raises:
        OutputError: The file cannot be flushed or renamed; the caller removes `partial`.

    """
    try:
        with partial.open("rb+") as stream:
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as exc:
        raise output_error(exc, path) from exc


HIDDEN_FOLDER = ".jdsr"
"""Folder in a folder of results for what jdsr keeps beside the results."""


def prepare_folder(out: Path) -> Path:
    """Create `out` with its parents and check that files can be written in it.

    Raises:
        OutputError: It cannot be created, is not a folder, or is read-only or full.

    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(b"jdsr")
            probe.flush()
    except OSError as error:
        raise OutputError(
            f"nothing can be written here ({error.strerror or error})",
            where=out,
            hint="Choose another folder with --out, or free the disk.",
        ) from error
    return out


@contextmanager
def atomic_file(path: Path, *, make_folder: bool = False) -> Iterator[Path]:
    """Yield a temporary file beside `path`; it is renamed to `path` when the block succeeds.

    Until then a file at `path` is unchanged, so readers see either the old or the new content.
    On an exception the temporary file is removed.

    Args:
        path: The file.
        make_folder: Whether to create missing parent folders.

    Raises:
        OutputError: The folder is missing, full or read-only.

    """
    if make_folder:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise output_error(exc, path) from exc
    partial = create_partial(path)
    try:
        yield partial
        publish(partial, path)
    except OSError as exc:
        raise exc if isinstance(exc, JdsrError) else output_error(exc, path) from exc
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
