"""Atomic writing: files and folders appear under their names when they are complete.

What has appeared stays after a loss of power: content is flushed to the disk, then renamed, then
the folder of the name is flushed. Only after that may anything be removed that it was made from.
"""

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
from jdsr_cli.renames import rename_new

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


_UNFLUSHED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
"""Errors of file systems that do not flush folders."""
_FOR_FLUSH = os.O_RDWR if os.name == "nt" else os.O_RDONLY
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


def flush_file(path: Path) -> None:
    """Wait until the content of a file is on the disk; OSError if the disk refuses."""
    descriptor = os.open(path, _FOR_FLUSH)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the file system can do that.

    Raises:
        OSError: The folder is missing, or the disk refuses.

    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except PermissionError:
        return  # Windows opens no folders; others may let names be written and not read
    try:
        os.fsync(descriptor)
    except OSError as fault:
        if fault.errno not in _UNFLUSHED:
            raise
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Flush all files in a folder, then the folders, the innermost first; links are not followed.

    Raises:
        OSError: A folder cannot be listed, or the disk refuses.

    """
    folders = [folder]
    for one in folders:
        with os.scandir(one) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    flush_file(Path(entry.path))
    for one in reversed(folders):
        flush_folder(one)


def make_folders(folder: Path) -> None:
    """Create a folder with its parents, whose names are then on the disk.

    Raises:
        OSError: It cannot be created.

    """
    created = []
    for one in (folder, *folder.parents):
        if one.exists():
            break
        created.append(one)
    folder.mkdir(parents=True, exist_ok=True)
    for one in created:
        flush_folder(one.parent)


def publish(partial: Path, path: Path, *, replace: bool = True, flushes_name: bool = True) -> None:
    """Flush `partial` to the disk, rename it to `path` in one step, and flush the folder.

    Args:
        partial: The complete file.
        path: Its name.
        replace: Whether a file of that name is replaced.
        flushes_name: Whether the folder is flushed; otherwise the caller does it once for many
            files.

    Raises:
        OutputError: The file cannot be flushed or renamed; the caller removes `partial`.

    """
    try:
        flush_file(partial)
        if replace:
            partial.replace(path)
        else:
            rename_new(partial, path)
        if flushes_name:
            flush_folder(path.parent)
    except OSError as exc:
        raise output_error(exc, path) from exc


def publish_folder(folder: Path, target: Path) -> None:
    """Flush a folder with all that it contains, rename it, and flush the folders of both names.

    Args:
        folder: The complete folder.
        target: Its name, which nothing may have.

    Raises:
        FileExistsError: Something has the name.
        OSError: The file system refuses.

    """
    flush_tree(folder)
    rename_new(folder, target)
    flush_folder(target.parent)
    flush_folder(folder.parent)


HIDDEN_FOLDER = ".jdsr"
"""Folder in a folder of results for what jdsr keeps beside the results."""


def prepare_folder(out: Path) -> Path:
    """Create `out` with its parents and check that files can be written in it.

    Raises:
        OutputError: It cannot be created, is not a folder, or is read-only or full.

    """
    try:
        make_folders(out)
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
def atomic_file(
    path: Path, *, make_folder: bool = False, replace: bool = True, flushes_name: bool = True
) -> Iterator[Path]:
    """Yield a temporary file beside `path`; it is renamed to `path` when the block succeeds.

    Until then a file at `path` is unchanged, so readers see either the old or the new content.
    On an exception the temporary file is removed.

    Args:
        path: The file.
        make_folder: Whether to create missing parent folders.
        replace: Whether a file of that name is replaced, also one that appears in the meantime.
        flushes_name: As for `publish`.

    Raises:
        OutputError: The folder is missing, full or read-only, or the name is taken.

    """
    if make_folder:
        try:
            make_folders(path.parent)
        except OSError as exc:
            raise output_error(exc, path) from exc
    partial = create_partial(path)
    try:
        yield partial
        publish(partial, path, replace=replace, flushes_name=flushes_name)
    except OSError as exc:
        raise exc if isinstance(exc, JdsrError) else output_error(exc, path) from exc
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
