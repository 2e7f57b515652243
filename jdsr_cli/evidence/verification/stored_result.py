"""A result as it is stored: its files, their hashes, manifest and records, read with caution.

Whoever made or altered the folder may have put anything into it. Only regular files in it are
opened, by names that its listing gave; links are not followed, and names in records are compared
with the listing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.evidence.manifest import MANIFEST, FileDigest
from jdsr_cli.evidence.sums import SUMS, Sum, parse_sum
from jdsr_cli.evidence.verification.stored_json import (
    MAX_BYTES,
    MAX_LINE,
    InvalidJsonError,
    parse_object,
)
from jdsr_cli.file_names import as_text
from jdsr_cli.progress import Progress

FACES = "faces.jsonl"
TRACKS = "tracks.jsonl"
LEFT_OUT = "LEFT_OUT.sums"
"""File that `jdsr bundle` adds where it leaves out videos: their lines of `SHA256SUMS`."""
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv")
"""Suffixes of the videos in a result."""
MARKS = (MANIFEST, SUMS, FACES, TRACKS)
"""Files of which one at least is in the folder of a result, also if others were removed."""
_CHUNK = 1 << 20
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_KINDS = (
    (stat.S_ISLNK, "is a link, which was not followed"),
    (stat.S_ISFIFO, "is a named pipe, not a file"),
    (stat.S_ISSOCK, "is a socket, not a file"),
    (stat.S_ISCHR, "is a device, not a file"),
    (stat.S_ISBLK, "is a device, not a file"),
)


class StoredResult:
    """A folder of a result.

    Args:
        folder: The folder.
        progress: Receives the MiB that were hashed.
        sources: Absolute paths of its input by the record beside the result, the latest first.

    Attributes:
        folder: The folder.
        progress: As given.
        sources: As given.
        sizes: Sizes in bytes of its files, by their names relative to it with `/`.
        others: What is neither a file nor a folder, or cannot be read, with the reason.

    Raises:
        InputUnreadableError: The folder cannot be listed.

    """

    def __init__(self, folder: Path, progress: Progress, sources: Sequence[str] = ()) -> None:
        self.folder = folder
        self.progress = progress
        self.sources = sources
        self.sizes: dict[str, int] = {}
        self.others: dict[str, str] = {}
        try:
            os.listdir(folder)  # noqa: PTH208 - only whether it can be listed
        except OSError as fault:
            raise InputUnreadableError(
                f"cannot be listed ({fault.strerror or fault})",
                where=folder,
                hint="Check its permissions.",
            ) from fault
        self._list("")

    def _list(self, below: str) -> None:
        try:
            with os.scandir(self.folder / below) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as fault:
            self.others[below.rstrip("/")] = f"cannot be listed ({fault.strerror or fault})"
            return
        for entry in found:
            name = below + entry.name
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as fault:
                self.others[name] = f"cannot be examined ({fault.strerror or fault})"
                continue
            if stat.S_ISDIR(status.st_mode):
                self._list(f"{name}/")
            elif stat.S_ISREG(status.st_mode):
                self.sizes[name] = status.st_size
            else:
                kinds = (what for is_kind, what in _KINDS if is_kind(status.st_mode))
                self.others[name] = next(kinds, "is not a file")

    def path(self, name: str) -> Path:
        """Return the path of one of its files.

        Raises:
            KeyError: It has no such file.

        """
        if name not in self.sizes:
            raise KeyError(name)
        return self.folder / name

    def open(self, name: str) -> BinaryIO:
        """Open one of its files for reading.

        Raises:
            KeyError: It has no such file.
            OSError: It cannot be read.

        """
        return os.fdopen(os.open(self.path(name), _OPEN | _BINARY), "rb")

    @cached_property
    def digests(self) -> Mapping[str, FileDigest]:
        """Size and hash of every file that can be read."""
        found: dict[str, FileDigest] = {}
        task = f"{self.folder.name} (MiB)"
        self.progress.begin(task, sum(-(-size // _CHUNK) for size in self.sizes.values()))
        try:
            for name in self.sizes:
                digest, size = hashlib.sha256(), 0
                try:
                    with self.open(name) as file:
                        while block := file.read(_CHUNK):
                            digest.update(block)
                            size += len(block)
                            self.progress.advance(task)
                except OSError as fault:
                    self.others[name] = f"cannot be read ({fault.strerror or fault})"
                    continue
                found[name] = FileDigest(name, size, digest.hexdigest())
        finally:
            self.progress.end(task)
        return found

    @cached_property
    def manifest_fault(self) -> str | None:
        """Why there is no manifest that can be read; None if there is one."""
        return self._manifest if isinstance(self._manifest, str) else None

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest; empty if it cannot be read."""
        return {} if isinstance(self._manifest, str) else self._manifest

    @cached_property
    def _manifest(self) -> Mapping[str, Any] | str:
        if MANIFEST not in self.sizes:
            return self.others.get(MANIFEST, "is missing")
        if self.sizes[MANIFEST] > MAX_BYTES:
            return f"has {self.sizes[MANIFEST]:,} bytes and was not read: no manifest is that large"
        try:
            with self.open(MANIFEST) as file:
                return parse_object(file.read(MAX_BYTES))
        except InvalidJsonError as fault:
            return str(fault)
        except OSError as fault:
            return f"cannot be read ({fault.strerror or fault})"

    @property
    def schema_version(self) -> object:
        """What the manifest states; None in results of versions that did not state it."""
        return self.manifest.get("schema_version")

    @cached_property
    def sums(self) -> tuple[tuple[int, Sum | None], ...]:
        """The lines of `SHA256SUMS` with their numbers; None for a line of another form."""
        return tuple((number, parse_sum(_text(line))) for number, line in self.lines(SUMS))

    @property
    def recorded_sums(self) -> Iterable[Sum]:
        """Names and hashes in `SHA256SUMS`, and those of the outputs in the manifest."""
        outputs = self.manifest.get("outputs")
        found = {one for _, one in self.sums if one is not None}
        for one in outputs if isinstance(outputs, list) else ():
            name, sha256 = (one.get("file"), one.get("sha256")) if isinstance(one, dict) else (0, 0)
            if isinstance(name, str) and isinstance(sha256, str):
                found.add(Sum(sha256, name))
        return found

    @cached_property
    def left_out(self) -> frozenset[str]:
        """Names of the videos that are not here and of which `LEFT_OUT.sums` says so.

        Nothing else can be left out of a bundle, and only what is recorded with this hash.
        """
        recorded = self.recorded_sums
        stated = (parse_sum(_text(line)) for _, line in self.lines(LEFT_OUT))
        return frozenset(
            one.file
            for one in stated
            if one is not None
            and one in recorded
            and is_video(one.file)
            and one.file not in self.sizes
            and one.file not in self.others
        )

    def lines(self, name: str) -> Iterator[tuple[int, bytes]]:
        """Yield the number, from 1, and the bytes of each line of a file; nothing if it is missing.

        Of a line that is longer than jdsr writes it, the start is yielded.
        """
        if name not in self.sizes:
            return
        try:
            with self.open(name) as file:
                number = 0
                while line := file.readline(MAX_LINE):
                    number += 1
                    yield number, line
                    while not line.endswith(b"\n") and (line := file.readline(MAX_LINE)):
                        pass
        except OSError:
            return

    def records(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the number and the record of each line that holds one."""
        for number, line in self.lines(name):
            try:
                yield number, parse_object(line)
            except InvalidJsonError:
                continue


def _text(line: bytes) -> str:
    """Return a line of `SHA256SUMS` without its end; one without an end is of another form.

    A CR before the end is no part of a name, in which it is escaped.
    """
    if not line.endswith(b"\n"):
        return ""
    return line[:-1].removesuffix(b"\r").decode("utf-8", "surrogateescape")


def is_video(name: str) -> bool:
    """Whether a file of this name is a video of a result."""
    return PurePosixPath(name).suffix in VIDEO_SUFFIXES


def shown(name: object) -> str:
    """Return a name from a record for a message: printable, and of a limited length."""
    try:
        text = as_text(str(name))
    except ValueError:
        return "a number of too many digits"
    return text if len(text) <= 200 else f"{text[:197]}..."
