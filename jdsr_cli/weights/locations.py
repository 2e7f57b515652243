"""Search folders of weight files, the cache folder, and the check of a file's hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from platformdirs import user_cache_path

from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsError
from jdsr_cli.excerpts import brief

OVERRIDE_VARIABLE = "JDSR_WEIGHTS"
"""Environment variable with a folder that is searched first."""

PACKAGE_FOLDER = Path(__file__).resolve().parent
"""Folder of this package; an installed one contains the carried weights in ``files``."""


def cache_directory() -> Path:
    """Return the folder in which fetched files are stored.

    ``$XDG_CACHE_HOME/jdsr/weights`` where that variable is set, otherwise below the cache folder of
    the platform: ``~/.cache`` on Linux, ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%`` on
    Windows.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    root = Path(base) / "jdsr" if base else user_cache_path("jdsr", appauthor=False)
    return root / "weights"


def search_directories() -> tuple[Path, ...]:
    """Return the folders that are searched for a weight file, in order.

    ``$JDSR_WEIGHTS``, the files carried by the installed package, those of a checkout, the cache.
    Only the first must exist, if it is set.

    Raises:
        UsageError: ``$JDSR_WEIGHTS`` is not a folder that can be read.

    """
    folders = [PACKAGE_FOLDER / "files"]
    checkout = PACKAGE_FOLDER.parents[1]
    if (checkout / "pyproject.toml").is_file():
        folders.append(checkout / "weights")
    override = _override()
    return (*(() if override is None else (override,)), *folders, cache_directory())


def _override() -> Path | None:
    """Return the folder that the user set; None if the variable is not set."""
    text = os.environ.get(OVERRIDE_VARIABLE)
    if text is None:
        return None
    folder = Path(text).expanduser()
    if not text.strip():
        fault = "is set, but empty"
    elif not folder.exists():
        fault = f"names {brief(text)}, which does not exist"
    elif not folder.is_dir():
        fault = f"names {brief(text)}, which is not a folder"
    elif not os.access(folder, os.R_OK | os.X_OK):
        fault = f"names {brief(text)}, which cannot be read"
    else:
        return folder
    raise UsageError(
        f"the environment variable {OVERRIDE_VARIABLE} {fault}",
        hint="Set it to a folder with weights and their manifest.toml, or unset it.",
    )


def find_file(name: str) -> Path | None:
    """Return the first file of that name in the search directories, None if there is none."""
    for directory in search_directories():
        if (directory / name).is_file():
            return directory / name
    return None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal.

    Raises:
        WeightsError: The file cannot be read.

    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> WeightsError:
    """Return the error for a weight file that cannot be read."""
    return WeightsError(
        f"cannot be read ({error.strerror or error})",
        where=path,
        hint="Check that it is a file and that you may read it.",
    )


def check_digest(where: str | Path, found: str, recorded: str, hint: str) -> None:
    """Compare a SHA-256 with the recorded one.

    Raises:
        WeightsCorruptError: They differ; the message states both and ends with `hint`.

    """
    if found != recorded:
        raise WeightsCorruptError(
            f"SHA-256 is {found}, recorded is {recorded}", where=where, hint=hint
        )
