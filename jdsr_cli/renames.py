"""Renaming that replaces nothing, and the exchange of two names, each in one step.

Source: the manual page renameat2(2) of Linux. Other systems, and file systems without these
operations, get what is next best.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

_NO_REPLACE = 1
"""`RENAME_NOREPLACE` of Linux."""
_EXCHANGE = 2
"""`RENAME_EXCHANGE` of Linux."""
_HERE = -100
"""`AT_FDCWD` of Linux: paths are relative to the working directory."""
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def rename_new(source: Path, target: Path) -> None:
    """Rename a file or a folder to a name that nothing has.

    Where the file system cannot do so in one step, a file is linked to its new name, and a folder
    is renamed after a look: at most an empty folder that appears in between is replaced.

    Raises:
        FileExistsError: Something has the name; it is as it was.
        OSError: The file system refuses.

    """
    if _renamed(source, target, _NO_REPLACE):
        return
    if not source.is_dir():
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            raise
        except (OSError, NotImplementedError):
            pass  # a file system without hard links
        else:
            source.unlink()
            return
    if os.path.lexists(target):
        raise _exists(target)
    try:
        source.rename(target)
    except OSError as fault:
        if fault.errno in (errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR) and target.exists():
            raise _exists(target) from fault
        raise


def exchange(first: Path, second: Path, aside: Path) -> None:
    """Exchange the names of two folders.

    Where the file system cannot do so in one step, `second` is moved to the name `aside` first, and
    back if the next step fails.

    Raises:
        OSError: The file system refuses; both are as they were.

    """
    if _renamed(first, second, _EXCHANGE):
        return
    second.rename(aside)
    try:
        rename_new(first, second)
    except OSError:
        rename_new(aside, second)
        raise
    aside.rename(first)


def _renamed(source: Path, target: Path, flag: int) -> bool:
    """Call `renameat2`; return False if system or file system does not know the flag."""
    import ctypes  # only what is published needs it

    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    paths = (_HERE, os.fsencode(source), _HERE, os.fsencode(target))
    if call(*paths, flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(source), None, str(target))


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
