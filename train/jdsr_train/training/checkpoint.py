"""Checkpoints: the complete state of a stage, written atomically, with a hash of their own bytes.

The file is that of `torch.save`, which is a zip archive, with a comment at its end: the SHA-256 of
all bytes before the comment. torch compares no checksums when it reads. Checkpoints of earlier
versions have no hash; the CRC-32 of their entries is compared instead.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import OutputError, TrainingError
from jdsr_cli.weights.pickles import find_damage, load_plain

HASHED = "hashed"
"""Key of the state of checkpoints that must have a hash."""
WITHOUT_HASH = (
    "the checkpoint is of an earlier version and has no hash; only the checksums of its parts were "
    "compared"
)
_MARK = b"jdsr sha256 "
_COMMENT_BYTES = len(_MARK) + 64
_LENGTH = _COMMENT_BYTES.to_bytes(2, "little")
"""The last field of a zip archive: the length of its comment."""
_CHUNK = 1 << 20


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; at any time `path` is either the old or the new one.

    Raises:
        OutputError: The disk is full or the folder cannot be written.

    """
    try:
        with atomic_file(path) as partial:
            torch.save({**state, HASHED: True}, partial)
            with partial.open("rb+") as stream:
                _append_hash(stream)
    except RuntimeError as error:  # torch reports a full disk like this
        raise OutputError(
            f"cannot be written ({error})", where=path, hint="Free some space, or use another --out"
        ) from error


def load(path: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    """Read a checkpoint of the same recipe.

    Raises:
        TrainingError: The file is damaged or belongs to another recipe.

    """
    state = read(path)
    saved = state["recipe"]
    if saved != recipe:
        keys = sorted({*saved, *recipe})
        changed = [key for key in keys if saved.get(key) != recipe.get(key)]
        raise TrainingError(
            f"the checkpoint was written with other settings ({', '.join(changed)})",
            where=path,
            hint="Use another --out, or the same settings",
        )
    return state


def read(path: Path) -> dict[str, Any]:
    """Read the checkpoint of any recipe on the CPU.

    Its key `HASHED` is whether the SHA-256 of its bytes was compared; one of an earlier version has
    none.

    Raises:
        TrainingError: The file is damaged.

    """
    try:
        with path.open("rb") as stream:
            hashed = _check_bytes(stream, path)
            state: dict[str, Any] = load_plain(stream)
        state["recipe"] = dict(state["recipe"])
        if state.get(HASHED, False) != hashed:
            raise ValueError("the hash is damaged")
        state[HASHED] = hashed
    except TrainingError:
        raise
    except Exception as error:  # damaged files raise many types of errors
        raise _error(path, error) from error
    return state


def restore(path: Path, state: dict[str, Any], apply: Callable[[dict[str, Any]], None]) -> None:
    """Apply a checkpoint's state with a function that loads its parts.

    Raises:
        TrainingError: A part is missing or does not fit.

    """
    try:
        apply(state)
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _error(path, error) from error


def _append_hash(stream: BinaryIO) -> None:
    """Add the comment with the hash to an archive without a comment."""
    stream.seek(-len(_LENGTH), io.SEEK_END)
    stream.write(_LENGTH)
    end = stream.tell()
    stream.write(_MARK + _digest(stream, end))


def _digest(stream: BinaryIO, end: int) -> bytes:
    """Return the SHA-256 of the first `end` bytes in hexadecimal; the stream is then there."""
    digest = hashlib.sha256()
    stream.seek(0)
    while chunk := stream.read(min(_CHUNK, end - stream.tell())):
        digest.update(chunk)
    return digest.hexdigest().encode()


def _check_bytes(stream: BinaryIO, path: Path) -> bool:
    """Compare the bytes of a checkpoint with its hash, or with their CRC-32; say if it has a hash.

    Raises:
        TrainingError: They differ.
        OSError, zipfile.BadZipFile: The file cannot be read.

    """
    end = max(0, stream.seek(0, io.SEEK_END) - _COMMENT_BYTES)
    stream.seek(end)
    comment = stream.read()
    hashed = comment.startswith(_MARK)
    if hashed:
        damaged = None if comment == _MARK + _digest(stream, end) else "SHA-256"
    else:
        damaged = None if find_damage(stream) is None else "CRC-32"
    stream.seek(0)
    if damaged is not None:
        raise TrainingError(
            f"the checkpoint is damaged: its bytes are not those that were written ({damaged})",
            where=path,
            hint="Delete it to start again, or restore it from a copy",
        )
    return hashed


def _error(path: Path, error: Exception) -> TrainingError:
    return TrainingError(
        f"the checkpoint cannot be read ({type(error).__name__})",
        where=path,
        hint="Delete it to start again",
    )
