"""Media files in folders and of glob patterns, and what of them is left out."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from jdsr_cli.errors import InputMissingError, InputUnreadableError
from jdsr_cli.media.own_results import OwnResults

Note = Callable[[str], None]
"""Receives one line for the user."""

_VIDEO = """
    3g2 3gp asf avi dav divx dv f4v flv h264 h265 hevc ivf m1v m2p m2t m2ts m2v m4v mjpeg mjpg mkv
    mov mp4 mpe mpeg mpg mts mxf nut ogm ogv ps qt rm rmvb tp trp ts vob vro webm wmv wtv y4m 264
    265 avc
"""
_PICTURE = """
    apng avif avifs bmp dpx exr gif hdr heic heics heif heifs hif j2c j2k jfif jls jp2 jpc jpe jpeg
    jpf jpg jpx mpo pcx pgm png pnm ppm qoi sgi tif tiff webp
"""
MEDIA_SUFFIXES = frozenset(f".{name}" for name in f"{_VIDEO} {_PICTURE}".split())
"""Suffixes, in lower case, of the files of a folder that are treated as media."""

_MAX_NAMED = 3
"""Number of names in a note; the others are counted."""


def is_media_name(path: Path) -> bool:
    """Whether a file of a folder is treated as media: by its suffix; hidden files never are."""
    return path.suffix.lower() in MEDIA_SUFFIXES and not _is_hidden(path)


def media_in_folder(folder: Path, note: Note, own: OwnResults) -> list[Path]:
    """Return the media files directly in a folder, in order of name; none of a result.

    Args:
        folder: The folder.
        note: Receives a line on the files that are left out, and one on the folders that are not
            searched. Hidden files and folders, and empty folders, are not mentioned.
        own: Knows results.

    Raises:
        InputMissingError: There are none, though the folder is no result and holds none.
        InputUnreadableError: It cannot be listed.

    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if not _is_hidden(entry))
    except OSError as exc:
        raise InputUnreadableError(
            f"the folder cannot be listed ({exc.strerror})",
            where=folder,
            hint="Check its permissions.",
        ) from exc
    files = [entry for entry in entries if is_media_name(entry) and entry.is_file()]
    if own.include(folder):
        note(f"{folder}: {_left_out(len(files))}, since the folder is a result or lies in one")
        return []
    made = {entry for entry in entries if entry.is_dir() and own.leave_out(entry, folder)}
    others = [entry for entry in entries if entry not in made]
    _note_others(str(folder), f"{folder}/**/*", others, files, note)
    if not files and (made or own.is_output(folder)):
        note(f"{folder}: holds results of jdsr alone, which were left out")
        return []
    if not files:
        raise InputMissingError(
            "no video or picture directly in this folder",
            where=folder,
            hint=f"For folders below it, quote a pattern: '{folder}/**/*'.",
        )
    return files


def media_of_pattern(pattern: str, note: Note, own: OwnResults) -> list[Path]:
    """Return the media files that match a glob pattern, in order of name; none of a result.

    Args:
        pattern: The pattern; if it has a suffix, all files that match are media.
        note: As for `media_in_folder`.
        own: Knows results.

    Raises:
        InputMissingError: There are none, nor in results.

    """
    suffix = Path(pattern).suffix
    has_suffix = bool(suffix) and not glob.has_magic(suffix)
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute patterns
    entries = [path for path in map(Path, matches) if has_suffix or not _is_hidden(path)]
    media = [path for path in entries if path.is_file() and (has_suffix or is_media_name(path))]
    root = _fixed_part(pattern)
    entries = [path for path in entries if not own.leave_out(path, root)]
    kept = set(entries)
    files = [path for path in media if path in kept]
    if len(files) < len(media):
        note(f"{pattern}: {_left_out(len(media) - len(files))}, in results of jdsr")
    if "**" in Path(pattern).parts:
        # Folders that match are searched.
        entries = [path for path in entries if not path.is_dir()]
    _note_others(pattern, f"{Path(pattern).parent}/**/*", entries, files, note)
    if not files and not media:
        raise InputMissingError(
            "the pattern matches no video or picture", where=pattern, hint="Check the spelling."
        )
    return files


def _fixed_part(pattern: str) -> Path:
    """Return the folder that a pattern searches: its parts before the first one with a wildcard."""
    root = Path()
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        root /= part
    return root


def _left_out(number: int) -> str:
    return "1 file was left out" if number == 1 else f"{number} files were left out"


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _note_others(
    where: str, deeper: str, entries: Sequence[Path], files: Iterable[Path], note: Note
) -> None:
    """Report the entries that are not among the media files.

    Args:
        where: The folder or the pattern.
        deeper: Pattern for what is below the folders.
        entries: Everything that was found.
        files: The media files.
        note: Receives the lines.

    """
    media = set(files)
    others = [entry for entry in entries if entry not in media]
    folders = [entry for entry in others if entry.is_dir()]
    left_out = [entry.name for entry in others if entry not in set(folders)]
    if left_out:
        names, plural = _listed(left_out)
        verb = "are not video or picture files and were" if plural else (
            "is not a video or picture file and was"
        )  # fmt: skip
        note(f"{where}: {names} {verb} left out")
    unsearched = [folder.name for folder in folders if _has_content(folder)]
    if unsearched:
        names, plural = _listed(unsearched)
        what = "folders" if plural else "folder"
        verb = "were" if plural else "was"
        note(f"{where}: the {what} {names} {verb} not searched (quote a pattern: '{deeper}')")


def _listed(names: Sequence[str]) -> tuple[str, bool]:
    """Return the first names and the number of the others, and whether there are several names."""
    shown, more = list(names[:_MAX_NAMED]), len(names) - _MAX_NAMED
    if more > 0:
        shown.append(f"{more} other{'s' if more > 1 else ''}")
    text = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return text, len(shown) > 1


def _has_content(folder: Path) -> bool:
    """Whether a folder holds something that is not hidden, or cannot be listed."""
    try:
        return any(not _is_hidden(entry) for entry in folder.iterdir())
    except OSError:
        return True
