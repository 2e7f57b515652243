"""The line of a report in `SHA256SUMS`, which is replaced when the report is made again."""

from __future__ import annotations

from pathlib import Path

from jdsr_cli.atomic import atomic_file
from jdsr_cli.evidence import sha256_file

SUMS = "SHA256SUMS"
"""Name of the file of hashes, in the format of sha256sum (GNU coreutils)."""


def update_sum(folder: Path, name: str) -> bool:
    """Replace the line of a file in `SHA256SUMS`; other lines stay byte for byte.

    Args:
        folder: Folder of the result.
        name: Name of the file in it, without characters that sha256sum escapes.

    Returns:
        Whether there is a `SHA256SUMS`.

    Raises:
        OutputError: It cannot be written.
        InputUnreadableError: The file cannot be read.

    """
    sums = folder / SUMS
    if sums.is_symlink() or not sums.is_file():
        return False
    line = f"{sha256_file(folder / name)}  {name}\n".encode()
    lines = sums.read_bytes().splitlines(keepends=True)
    ends = (f"  {name}".encode(), f" *{name}".encode())
    places = [place for place, one in enumerate(lines) if one.rstrip(b"\r\n")[64:] in ends]
    kept = [one for place, one in enumerate(lines) if place not in places]
    kept.insert(places[0] if places else len(kept), line)
    if not places and len(kept) > 1 and not kept[-2].endswith(b"\n"):
        kept[-2] += b"\n"
    with atomic_file(sums) as partial:
        partial.write_bytes(b"".join(kept))
    return True
