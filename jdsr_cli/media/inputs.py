"""Turning what a user names on the command line into a list of files."""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from jdsr_cli.errors import InputError, InputMissingError, InputUnreadableError
from jdsr_cli.media.sequence import is_sequence, numbered_files

_VIDEO = """
    3g2 3gp asf avi dv flv m2ts m2v m4v mkv mov mp4 mpeg mpg mts mxf nut ogv ts vob webm wmv y4m
    264 265 avc dav h264 h265 hevc mjpeg mjpg ps
"""
_PICTURE = "apng avif bmp gif jfif jp2 jpe jpeg jpg pgm png pnm ppm tif tiff webp"

MEDIA_SUFFIXES = frozenset(f".{name}" for name in f"{_VIDEO} {_PICTURE}".split())
"""Suffixes, in lower case, by which files of a folder are taken for media."""


def is_media_name(path: Path) -> bool:
    """Whether a file of a folder is taken for media: by its suffix, hidden files never."""
    return path.suffix.lower() in MEDIA_SUFFIXES and not path.name.startswith(".")


def expand_inputs(paths: Sequence[str]) -> tuple[list[Path], list[InputError]]:
    """Expand files, folders and glob patterns.

    A file is taken whatever its suffix. A folder stands for the media files directly in it, in
    order of name. A pattern (`*`, `?`, `[...]`, `**` for any depth), quoted or not, stands for
    what it matches; files that are no media by their suffix are left out unless the pattern
    itself names a suffix. The pattern of a sequence (`shot_%05d.png`) stands for one input and
    stays as it is. A file named twice is taken once.

    Returns:
        The files in the order of `paths`, and one error for each name that gave none.

    """
    files: dict[Path, Path] = {}
    errors: list[InputError] = []
    for name in paths:
        try:
            for file in _expand(name):
                files.setdefault(Path(os.path.realpath(file)), file)
        except InputError as exc:
            errors.append(exc)
    return list(files.values()), errors


def _expand(name: str) -> list[Path]:
    path = Path(name).expanduser()
    try:
        folder, there = path.is_dir(), path.exists()
    except (OSError, ValueError) as exc:
        raise InputUnreadableError(f"cannot be opened ({exc})", where=name) from exc
    if name and there:
        return _folder(path) if folder else [path]
    if is_sequence(path):
        numbered_files(path)
        return [path]
    if glob.has_magic(name):
        return _pattern(str(path))
    raise InputMissingError("no such file or folder", where=name or "''", hint=_similar(path))


def _folder(folder: Path) -> list[Path]:
    try:
        found = sorted(entry for entry in folder.iterdir() if is_media_name(entry))
    except OSError as exc:
        raise InputUnreadableError(
            f"the folder cannot be listed ({exc.strerror})",
            where=folder,
            hint="Check its permissions.",
        ) from exc
    files = [entry for entry in found if entry.is_file()]
    if not files:
        raise InputMissingError(
            "no video or picture directly in this folder",
            where=folder,
            hint=f"For folders below it, quote a pattern: '{folder}/**/*'.",
        )
    return files


def _pattern(pattern: str) -> list[Path]:
    suffix = Path(pattern).suffix
    named = bool(suffix) and not glob.has_magic(suffix)
    files: list[Path] = []
    for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - absolute patterns
        path = Path(match)
        if path.is_file() and (named or is_media_name(path)):
            files.append(path)
    if not files:
        raise InputMissingError(
            "the pattern matches no video or picture", where=pattern, hint="Check the spelling."
        )
    return files


def _similar(path: Path) -> str:
    try:
        names: Iterable[str] = [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError):
        names = []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"Did you mean {path.with_name(close[0])}?" if close else "Check the spelling."
