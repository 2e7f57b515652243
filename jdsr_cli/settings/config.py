"""Configuration files: any option of a command as a key of a TOML file."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from jdsr_cli.errors import UsageError
from jdsr_cli.settings.options import Declared, Settings, in_order
from jdsr_cli.toml_files import read_toml


def read_config(path: str | Path, *kinds: type[Settings]) -> dict[str, Any]:
    """Read the options of settings classes from a TOML file.

    Keys are the long names of the options, with ``-`` or ``_`` between words; numbers, texts and
    true or false are written as in TOML, times and ratios also as text (``start = "1:30"``).
    Relative paths are relative to the working directory, as on the command line.

    Args:
        path: The file.
        kinds: The settings classes; `build` takes the result.

    Returns:
        Values by the names of fields, for those options that are in the file.

    Raises:
        UsageError: The file cannot be read, or holds an unknown key or a value that is not
            allowed; the error names file, key and what is allowed.

    """
    try:
        content = read_toml(Path(path))
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror or error})", where=path) from error
    except ValueError as error:
        raise UsageError(f"not readable as TOML ({error})", where=path) from error
    known = {one.key: one for one in in_order(*kinds) if one.field != "config"}
    values: dict[str, Any] = {}
    for name, value in content.items():
        key = name.replace("_", "-")
        if key not in known:
            raise _unknown(path, key, known)
        field = known[key].field
        if field in values:
            raise UsageError(f"{key} is set twice", where=f"{path}, key {name}")
        values[field] = known[key].convert(value, where=f"{path}, key {name}")
    return values


def _unknown(path: str | Path, key: str, known: dict[str, Declared]) -> UsageError:
    positive = key.removeprefix("no-")
    if key != positive and positive in known and known[positive].option.negatable:
        hint = f"Write {positive} = false."
    else:
        near = difflib.get_close_matches(key, known, 1)
        nearest = f"The nearest is {near[0]}. " if near else ""
        hint = f"{nearest}Allowed keys: {', '.join(sorted(known))}."
    return UsageError("unknown key", where=f"{path}, key {key}", hint=hint)
