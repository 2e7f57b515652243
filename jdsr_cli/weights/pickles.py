"""Files of `torch.save`, of which only plain values and tensors are read; nothing is executed."""

from __future__ import annotations

import io
import warnings
import zipfile
from typing import Any, BinaryIO

import torch

_ZIP = b"PK\x03\x04"
"""First bytes of a file of `torch.save`; those of versions before 1.6 are no archives."""


def load_plain(stream: BinaryIO) -> Any:
    """Return the value of a file of `torch.save`, with its tensors on the CPU.

    Args:
        stream: The bytes of the file, which can be searched.

    Raises:
        Exception: The file is damaged, contains other than plain values and tensors, or holds more
            than it has bytes. torch raises errors of any type for damaged files.

    """
    check_archive(stream)
    with warnings.catch_warnings():
        # torch warns of TorchScript archives before it refuses them.
        warnings.simplefilter("ignore", UserWarning)
        return torch.load(stream, map_location="cpu", weights_only=True)


def check_archive(stream: BinaryIO) -> None:
    """Check that an archive is one that `torch.save` may have written: nothing in it is compressed.

    A compressed one of a megabyte may unpack to a gigabyte.

    Raises:
        ValueError: Entries are compressed, or together larger than the file.
        zipfile.BadZipFile: It is damaged.

    """
    if read_start(stream, len(_ZIP)) != _ZIP:
        return
    with zipfile.ZipFile(stream) as archive:
        total = sum(entry.file_size for entry in archive.infolist())
    end = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if total > end:
        raise ValueError("the entries are larger than the file")


def find_damage(stream: BinaryIO) -> str | None:
    """Return the name of the first entry of an archive whose bytes do not have its CRC-32.

    None if there is none, or if the file is no archive.
    """
    if read_start(stream, len(_ZIP)) != _ZIP:
        return None
    with zipfile.ZipFile(stream) as archive:
        damaged = archive.testzip()
    stream.seek(0)
    return damaged


def read_start(stream: BinaryIO, length: int) -> bytes:
    """Return the first bytes of a stream, which is then at its start again."""
    stream.seek(0)
    start = stream.read(length)
    stream.seek(0)
    return start
