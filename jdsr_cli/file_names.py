"""File names that fit into a file system, whatever they are made of."""

from __future__ import annotations

import hashlib

LONGEST = 255
"""Bytes of a name in the usual file systems."""
_HASH_LENGTH = 8


def shortened(name: str, room: int) -> str:
    """Return a name of at most `room` bytes in UTF-8.

    A longer one is cut between two characters and gets a hash of the whole name, so that different
    names stay different.
    """
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) <= room:
        return name
    mark = f"~{hashlib.sha256(encoded).hexdigest()[:_HASH_LENGTH]}"
    kept = encoded[: room - len(mark)].decode("utf-8", "ignore")
    return kept + mark
