"""File names as text on one line, and of a length that file systems allow."""

from __future__ import annotations

import hashlib
import os
import re

LONGEST = 255
"""Bytes of a name in the usual file systems."""
BYTES = "surrogateescape"
"""Error handler of encoding and decoding with which bytes that are not UTF-8 stay as they are, in
names and in tables of names."""
_HASH_LENGTH = 8
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, separators of lines, changes of the direction of writing, and bytes that are
not UTF-8 as Python represents them."""


def as_text(name: str) -> str:
    """Return a name for records and messages: each byte that is no printable text as %XX.

    File names may hold any byte: line breaks, commands for terminals, bytes that are not UTF-8.
    """
    return _NO_TEXT.sub(lambda match: "".join(f"%{byte:02X}" for byte in _bytes(match[0])), name)


def name_bytes(name: str) -> bytes:
    """Return the bytes of a file name: its UTF-8, and bytes that are not UTF-8 as they are."""
    return name.encode("utf-8", BYTES)


def _bytes(character: str) -> bytes:
    """Return what a character stands for: the byte of a file name that is no text, or its UTF-8."""
    if "\udc80" <= character <= "\udcff":
        return os.fsencode(character)
    return character.encode("utf-8", "surrogatepass")


def shortened(name: str, room: int) -> str:
    """Return a name of at most `room` bytes in UTF-8.

    A longer one is cut between two characters and gets a hash of the whole name, so that different
    names stay different.
    """
    encoded = name_bytes(name)
    if len(encoded) <= room:
        return name
    mark = f"~{hashlib.sha256(encoded).hexdigest()[:_HASH_LENGTH]}"
    kept = encoded[: room - len(mark)].decode("utf-8", "ignore")
    return kept + mark
