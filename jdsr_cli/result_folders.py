"""Which folders are results of jdsr: known by their manifest, whatever they are called."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

MANIFEST_NAME = "manifest.json"
MAX_BYTES = 64 << 20
"""Size of a manifest from which it is not read; usual ones have some kilobytes."""
COMMANDS = ("restore", "crop-faces")
"""Commands that write results."""
_HASH = re.compile(r"[0-9a-f]{64}")
_WORK = re.compile(r"\..*\.partial|\.jdsr")
"""Names of the hidden folders in which results grow, and of what is kept beside them."""


def is_own_folder(folder: Path) -> bool:
    """Whether a folder holds a result, moved and copied ones included, or one that grows.

    Other programs write files of the name `manifest.json` as well. That of jdsr states its command,
    and names and hashes of the input and of what was made of it.
    """
    return bool(_WORK.fullmatch(folder.name)) or is_manifest(_read(folder / MANIFEST_NAME))


def is_manifest(content: Any) -> bool:
    """Whether a value that was read from JSON has what every manifest of jdsr has."""
    return (
        isinstance(content, dict)
        and content.get("command") in COMMANDS
        and _is_digest(content.get("input"))
        and isinstance(content.get("outputs"), list)
        and all(_is_digest(one) for one in content["outputs"])
    )


def _is_digest(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("file"), str)
        and isinstance(value.get("sha256"), str)
        and bool(_HASH.fullmatch(value["sha256"]))
    )


def _read(path: Path) -> Any:
    """Return the content of a manifest; None if it is no regular file, too large or no JSON."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
