"""`SHA256SUMS`: the hashes of all files of a result, in the format of the program sha256sum.

``sha256sum -c SHA256SUMS`` in the folder of a result checks it without jdsr. The format is that of
GNU coreutils: hash, two spaces, name; a line whose name contains a backslash or a line break starts
with a backslash, and these characters are escaped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jdsr_cli.atomic import atomic_file
from jdsr_cli.evidence.manifest import sha256_file

SUMS = "SHA256SUMS"
"""Name of the file."""
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_CHARACTERS = {escape: character for character, escape in _ESCAPES.items()}
_LINE = re.compile(r"(?P<escaped>\\?)(?P<sha256>[0-9a-f]{64})  (?P<name>.+)", re.DOTALL)


@dataclass(frozen=True)
class Sum:
    """A line of the file."""

    sha256: str
    """64 lower-case hexadecimal digits."""
    file: str
    """Name relative to the folder, with `/`."""

    def __str__(self) -> str:
        name = "".join(_ESCAPES.get(character, character) for character in self.file)
        return f"{'' if name == self.file else chr(92)}{self.sha256}  {name}"


def parse_sum(line: str) -> Sum | None:
    """Return a line as it was written, without its end; None if `write_sums` does not write it."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    escapes = r"\\\\|\\n|\\r"
    name = match["name"]
    if match["escaped"]:
        name = re.sub(escapes, lambda found: _CHARACTERS[found[0]], name)
    parsed = Sum(match["sha256"], name)
    return parsed if str(parsed) == line else None


def files_in(folder: Path) -> Iterator[str]:
    """Yield the names of all files in a folder, relative to it; links are not followed.

    Raises:
        OSError: A folder cannot be listed.

    """

    def fail(fault: OSError) -> None:
        raise fault

    for root, _, names in os.walk(folder, onerror=fail):
        for name in names:
            yield (Path(root) / name).relative_to(folder).as_posix()


def write_sums(folder: Path, known: Mapping[str, str] | None = None) -> None:
    """Write the hashes of all other files of a folder, sorted by name.

    Args:
        folder: The folder, which is complete otherwise.
        known: Hashes of files, by name, that are not computed again.

    Raises:
        InputUnreadableError: A file cannot be read.
        OutputError: The disk is full.

    """
    known = known or {}
    names = sorted(name for name in files_in(folder) if name != SUMS)
    sums = [Sum(known.get(name) or sha256_file(folder / name), name) for name in names]
    text = "".join(f"{one}\n" for one in sums)
    with atomic_file(folder / SUMS) as partial:
        partial.write_bytes(text.encode("utf-8", "surrogateescape"))


def update_sum(folder: Path, name: str) -> bool:
    """Write the hash of one file anew; other lines stay byte for byte.

    Args:
        folder: The folder.
        name: Name of the file in it, without characters that are escaped.

    Returns:
        Whether there is a `SHA256SUMS`.

    Raises:
        InputUnreadableError: The file cannot be read.
        OutputError: `SHA256SUMS` cannot be written.

    """
    sums = folder / SUMS
    if sums.is_symlink() or not sums.is_file():
        return False
    lines = sums.read_bytes().removesuffix(b"\n").split(b"\n")
    named = [(line.removesuffix(b"\r")[66:], line) for line in lines if line]
    kept = [(one, line) for one, line in named if one != name.encode()]
    place = sum(one < name.encode() for one, _ in kept)
    kept.insert(place, (name.encode(), str(Sum(sha256_file(folder / name), name)).encode()))
    with atomic_file(sums) as partial:
        partial.write_bytes(b"".join(line + b"\n" for _, line in kept))
    return True
