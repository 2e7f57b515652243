"""The files that an interrupted run has kept, and what in their place is none of them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

from jdsr_cli.restoration.hashed_files import is_whole


def remove(path: Path) -> None:
    """Remove a file or link, or a folder with all that it contains; nothing if there is none.

    Raises:
        OSError: It cannot be removed.

    """
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def is_in_place_of_file(path: Path) -> bool:
    """Whether there is something that is no file, such as a folder, a link or a pipe."""
    try:
        return not stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def clear_misplaced(work: Path, results: Path) -> None:
    """Remove links and pipes, and folders that have the name of a file.

    Args:
        work: Folder of the work of an interrupted run.
        results: Folder of its results, in the same folder.

    Raises:
        OSError: Something cannot be removed.

    """
    for path in list(_entries(work.parent)):
        is_folder = path.is_dir() and not path.is_symlink()
        if path in (work, results):
            misplaced = not is_folder
        elif is_folder:
            misplaced = "." in path.name or path.parent == work
        else:
            misplaced = is_in_place_of_file(path)
        if misplaced:
            remove(path)


def clear_unlisted(
    results: Path, listed: Collection[Path], spares: Callable[[Path], bool] = lambda _: False
) -> list[str]:
    """Remove the files in a folder of results that its run has not written.

    Whatever else is there would be published, and signed as good.

    Args:
        results: The folder.
        listed: The files that were written.
        spares: Whether a file stays that is not listed.

    Returns:
        Their names, relative to the folder.

    Raises:
        OSError: A file cannot be removed.

    """
    removed: list[str] = []
    for path in sorted(_entries(results), reverse=True):
        if path.is_dir() and not path.is_symlink():
            # Folders that hold nothing are not signed; one that the run needs, it makes again.
            if removed:
                with suppress(OSError):
                    path.rmdir()
        elif path not in listed and not spares(path):
            path.unlink(missing_ok=True)
            removed.append(path.relative_to(results).as_posix())
    return sorted(removed)


def clear_damaged(
    work: Path, suffixes: tuple[str, ...], listed: Collection[Path], run: str
) -> None:
    """Remove results of segments that are damaged or of another run, so that they are made again.

    Args:
        work: Folder of the work.
        suffixes: Ends of the names of files that `write_hashed` wrote.
        listed: Files that were compared with the journal, which stay.
        run: Identifier of the run.

    Raises:
        OSError: A file cannot be removed.

    """
    for path in list(work.iterdir()):
        # Other processes may be writing the hidden ones.
        is_stored = path.name.endswith(suffixes) and not path.name.startswith(".")
        if is_stored and path not in listed and not is_whole(path, run):
            path.unlink(missing_ok=True)


def _entries(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder; links are not followed."""
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(root) / name
