"""Whether the files of a finished result are there, without reading them."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jdsr_cli.evidence import REPORT, SUMS
from jdsr_cli.evidence.sums import parse_sum
from jdsr_cli.file_names import as_text


def damaged_files(result: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the recorded files of a result that are missing or have another size, with what it is.

    The report is left out: it is not needed, and has a command of its own.

    Args:
        result: Folder of the result.
        manifest: Its manifest.

    """
    outputs = manifest.get("outputs")
    stated = {
        one["file"]: one.get("bytes")
        for one in (outputs if isinstance(outputs, list) else ())
        if isinstance(one, dict) and isinstance(one.get("file"), str)
    }
    for name in {**stated, **dict.fromkeys(_listed(result))}:
        size = _size(result / name)
        if size is None:
            yield f"{as_text(name)} is missing"
        elif stated.get(name) not in (None, size):
            yield f"{as_text(name)} has {size:,} bytes, recorded are {stated[name]:,}"


def _listed(result: Path) -> Iterator[str]:
    """Yield the names in `SHA256SUMS`; nothing if it cannot be read."""
    content = b""
    with suppress(OSError):
        content = (result / SUMS).read_bytes() if (result / SUMS).is_file() else b""
    for line in content.split(b"\n"):
        one = parse_sum(line.decode("utf-8", "surrogateescape"))
        if one is not None and one.file != REPORT:
            yield one.file


def _size(path: Path) -> int | None:
    """Return the size of a regular file; None if there is none."""
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
