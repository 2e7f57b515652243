"""The header of safetensors files, read without torch and without trust.

Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jdsr_cli.errors import WeightsCorruptError
from jdsr_cli.weights.locations import unreadable

METADATA = "__metadata__"
LENGTH_BYTES = 8
"""Bytes of the length of a header, little-endian."""
LONGEST_HEADER = 10_000_000
"""Bytes of a header at most; those of jdsr have up to 200,000."""
MOST_TENSORS = 20_000
"""Tensors of a file at most; the largest known network has 2,532."""
MOST_DIMENSIONS = 16
ALTERED_HINT = "The file was altered or incompletely copied; take it from the repository again."


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is no JSON, has a key twice, or is nested too deeply.

    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("values are nested too deeply") from error


def parse_header(text: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the tables of the tensors by name, and the metadata, of a header.

    Raises:
        ValueError: It is no header of a safetensors file, or is beyond `MOST_TENSORS` or
            `MOST_DIMENSIONS`.

    """
    tensors = parse_json(text)
    if not isinstance(tensors, dict):
        raise ValueError("the header is no table")
    metadata = tensors.pop(METADATA, {})
    if not isinstance(metadata, dict):
        raise ValueError("the metadata are no table")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("the metadata are not all texts")
    if len(tensors) > MOST_TENSORS:
        raise ValueError(f"more than {MOST_TENSORS:,} tensors")
    for table in tensors.values():
        shape = table.get("shape") if isinstance(table, dict) else None
        if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
            raise ValueError("a tensor without a shape")
        if not all(type(length) is int for length in shape):
            raise ValueError("a shape that is not in whole numbers")
    return tensors, metadata


def split_header(data: bytes) -> tuple[bytes, bytes]:
    """Return the header and the values of a safetensors file.

    Raises:
        ValueError: The header is longer than `LONGEST_HEADER` or than the file.

    """
    end = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
    if end > min(LENGTH_BYTES + LONGEST_HEADER, len(data)):
        raise ValueError("the header is too long")
    return data[LENGTH_BYTES:end], data[end:]


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata in the header of a safetensors file, of which no more is read.

    Raises:
        WeightsError: The file cannot be read.
        WeightsCorruptError: It has no such header.

    """
    try:
        with path.open("rb") as stream:
            start = stream.read(LENGTH_BYTES)
            length = int.from_bytes(start, "little")
            data = start + stream.read(length if length <= LONGEST_HEADER else 0)
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return parse_header(split_header(data)[0])[1]
    except ValueError as error:
        raise no_safetensors(path, error) from error


def no_safetensors(path: Path, error: Exception) -> WeightsCorruptError:
    """Return the error for a file that is not a safetensors file."""
    return WeightsCorruptError(
        f"is not a safetensors file ({str(error)[:100]})", where=path, hint=ALTERED_HINT
    )


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError("a key is there twice")
        table[key] = value
    return table
