"""A part of a file that is read as if it were a file."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast


@dataclass(frozen=True)
class FileSlice:
    """A part of a file.

    Attributes:
        path: The file.
        start: Position of the first byte.
        end: Position after the last byte.

    """

    path: Path
    start: int
    end: int

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.end - self.start

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        """Open the part for reading.

        Args:
            mode: As that of `Path.open`.

        Raises:
            OSError: The file cannot be read.

        """
        return cast(BinaryIO, io.BufferedReader(_SliceStream(self)))


DataFile = Path | FileSlice
"""What a container is read from."""


def path_of(file: DataFile) -> Path:
    """Return the path of a file or of the file that a part belongs to."""
    return file.path if isinstance(file, FileSlice) else file


def size_of(file: DataFile) -> int:
    """Return the number of bytes of a file or of a part of one."""
    return file.size if isinstance(file, FileSlice) else file.stat().st_size


class _SliceStream(io.RawIOBase):
    """The stream of a part.

    It has a descriptor of its own instead of a file object: what PyAV does not close is closed when
    it is collected, in any order and without a warning.
    """

    def __init__(self, part: FileSlice) -> None:
        super().__init__()
        self._descriptor = os.open(part.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._part = part
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._part.size}
        self._position = max(0, base[whence] + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self._part.size - self._position))
        os.lseek(self._descriptor, self._part.start + self._position, os.SEEK_SET)
        data = os.read(self._descriptor, count)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)
