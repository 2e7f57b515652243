"""Short excerpts, on one line, of values and errors that others wrote, for messages."""

from __future__ import annotations

from reprlib import Repr

from jdsr_cli.file_names import as_text

LONGEST_REASON = 300
"""Characters of a reason."""
_BRIEF = Repr()
_BRIEF.maxstring = _BRIEF.maxlong = _BRIEF.maxother = 60


def brief(value: object) -> str:
    """Return the Python text of a value; of long ones the beginning and the end."""
    return as_text(_BRIEF.repr(value))


def first_line(error: BaseException) -> str:
    """Return the beginning of the first line of an error; control characters as %XX."""
    line, _, _ = str(error).strip().partition("\n")
    return as_text(line[:LONGEST_REASON])
