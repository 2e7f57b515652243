"""The folder of a result: its manifest, its records line by line, and the files inside of it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from jdsr_cli.errors import InputError, InputMissingError, InputUnreadableError
from jdsr_cli.evidence import MANIFEST
from jdsr_cli.reporting.values import Record, tables, text

SCHEMA_VERSION = 1
"""Version of the records that this version of jdsr reads; a manifest without one has it as well."""
MAX_MANIFEST = 64 << 20
"""Bytes of the largest manifest that is read."""
MAX_FILE = 64 << 20
"""Bytes of the largest picture that is read."""
MAX_LINE = 4 << 20
"""Bytes of the longest line of a record that is read."""
CHUNK = 1 << 20
_PARTS = 16
"""Folders in the name of a file in a record at most."""


class UnusableFileError(Exception):
    """A file that a record names is not read; the text is the reason."""


class ResultFolder:
    """A finished result of `restore`.

    Args:
        folder: The folder.

    Raises:
        InputMissingError: There is no manifest, so it is no result.
        InputUnreadableError: The manifest is damaged, or cannot be read.
        InputError: It is of a newer version of jdsr, or not of `restore`.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        content = _manifest_bytes(folder)
        self.manifest_sha256 = hashlib.sha256(content).hexdigest()
        self.manifest: Record = _parsed_manifest(content, folder / MANIFEST)
        self._root = folder.resolve()

    def lines(self, name: str) -> Iterator[dict[str, Any] | None]:
        """Yield the objects in a file of one JSON object per line; None for a broken line.

        A file that is absent, or a link, has no lines.
        """
        try:
            with os.fdopen(self._descriptor(name), "rb") as file:
                while line := file.readline(MAX_LINE):
                    yield _object(line)
                    while line and not line.endswith(b"\n"):
                        line = file.readline(MAX_LINE)  # the rest of a line that is too long
        except (UnusableFileError, OSError):
            return

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file.

        Raises:
            UnusableFileError: It cannot be read.

        """
        digest = hashlib.sha256()
        try:
            with os.fdopen(self._descriptor(name), "rb") as file:
                while block := file.read(CHUNK):
                    digest.update(block)
        except OSError as fault:
            raise UnusableFileError(f"it cannot be read ({fault.strerror or fault})") from fault
        return digest.hexdigest()

    def read(self, name: str, sha256: str | None) -> bytes:
        """Return the content of a file that a record names.

        Args:
            name: Relative to the folder.
            sha256: Hash that the record states, None if it states none.

        Raises:
            UnusableFileError: The name leads out of the folder or through a link, or the file is
                absent, no regular file, too large, or differs from its hash.

        """
        try:
            with os.fdopen(self._descriptor(name), "rb") as file:
                content = file.read(MAX_FILE + 1)
        except OSError as fault:
            raise UnusableFileError(f"it cannot be read ({fault.strerror or fault})") from fault
        if len(content) > MAX_FILE:
            raise UnusableFileError(f"it is larger than {MAX_FILE >> 20} MiB")
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise UnusableFileError("its content differs from the hash in the record")
        return content

    def link(self, name: str) -> str | None:
        """Return the address of a file relative to the folder; None if it is not in the folder."""
        try:
            self._checked(name)
        except UnusableFileError:
            return None
        return "./" + quote(os.fsencode(PurePosixPath(name)), safe="/")

    def _descriptor(self, name: str) -> int:
        """Open a regular file inside of the folder; a pipe does not block."""
        path = self._checked(name)
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        return os.open(path, flags | getattr(os, "O_BINARY", 0))

    def _checked(self, name: str) -> Path:
        """Return the path of a regular file inside of the folder that no link leads to."""
        parts = PurePosixPath(name).parts
        outside = not parts or len(parts) > _PARTS or name.startswith("/") or "\\" in name
        if outside or ".." in parts or "\0" in name or ":" in parts[0]:
            raise UnusableFileError("its name leads out of the folder of the result")
        path = self._root
        try:
            for part in parts:
                path = path / part
                mode = path.lstat().st_mode
                if stat.S_ISLNK(mode):
                    raise UnusableFileError("it is a link")
        except (OSError, ValueError) as fault:
            raise UnusableFileError("there is no such file in the folder") from fault
        if not stat.S_ISREG(mode):
            raise UnusableFileError("it is not a regular file")
        return path

    def altered_records(self) -> list[str]:
        """Return the names of the records whose content differs from the manifest."""
        stated = {
            text(one, "file"): text(one, "sha256") for one in tables(self.manifest, "outputs")
        }
        altered = []
        for name in ("tracks.jsonl", "faces.jsonl"):
            try:
                found = self.digest(name)
            except UnusableFileError:
                found = None
            if found != stated.get(name):
                altered.append(name)
        return altered


def is_result(folder: Path) -> bool:
    """Whether a folder holds a manifest."""
    return (folder / MANIFEST).is_file()


def refuse_link(folder: Path) -> None:
    """Refuse a folder in a folder of results that is a link; nothing behind it is read or written.

    Raises:
        InputError: It is a link.

    """
    if folder.is_symlink():
        raise InputError(
            "is a link, which is not followed", where=folder, hint="Give the folder itself."
        )


def _manifest_bytes(folder: Path) -> bytes:
    path = folder / MANIFEST
    if not path.is_file():
        raise InputMissingError(
            f"is not a result of jdsr (it has no {MANIFEST})",
            where=folder,
            hint="Give a folder that `jdsr restore` wrote, or the folder of such folders.",
        )
    if path.is_symlink():
        raise InputUnreadableError(
            "is a link, which is not followed", where=path, hint="Copy the file itself."
        )
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MANIFEST + 1)
    except OSError as fault:
        raise InputUnreadableError(
            f"cannot be read ({fault.strerror or fault})", where=path, hint="Check its permissions."
        ) from fault
    if len(content) > MAX_MANIFEST:
        raise InputUnreadableError("is too large to be a manifest", where=path)
    return content


def _parsed_manifest(content: bytes, path: Path) -> Record:
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict):
        raise InputUnreadableError(
            "is damaged: it is not a JSON object", where=path, hint="Copy the result again."
        )
    version = manifest.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise InputUnreadableError(
            "is damaged: schema_version is not a version", where=path, hint="Copy the result again."
        )
    if version > SCHEMA_VERSION:
        raise InputError(
            f"was written by a newer version of jdsr (schema_version {version}, and this one reads "
            f"{SCHEMA_VERSION})",
            where=path,
            hint="Update jdsr.",
        )
    if manifest.get("command") != "restore":
        raise InputError(
            "is not a result of `jdsr restore`, and only these have a report", where=path.parent
        )
    return manifest


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
