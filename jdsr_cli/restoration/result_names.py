"""Names of results: a result belongs to its input, whatever else is in the folder or the batch.

The folder of all results holds a record: which input has which result. It is asked before a name is
chosen, so that a name that was given once stays, when inputs of the same stem appear or disappear
beside it, and in whichever order they are given. An input that was renamed is recognised by its
content, and keeps its result.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock

from jdsr_cli.atomic import HIDDEN_FOLDER, flush_folder, make_folders, output_error
from jdsr_cli.errors import InputError, OutputError
from jdsr_cli.evidence import read_manifest
from jdsr_cli.file_names import LONGEST, as_text, shortened
from jdsr_cli.media import input_files
from jdsr_cli.restoration.finished_segments import read_line, write_line
from jdsr_cli.restoration.input_bytes import InputBytes
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.workspace import HIDDEN_NAME, Workspace

RECORD = "names.jsonl"
LOCK = "names.lock"
ROOM = LONGEST - len(HIDDEN_NAME.format("").encode())
"""Bytes of a name, such that the hidden folder of an unfinished result has one as well."""
_FRAME_NUMBER = re.compile(r"%0?[0-9]*d")
"""The placeholder of the number in the name of an image sequence."""
_HASH_LENGTH = 8


def candidate_names(path: Path) -> Iterator[str]:
    """Yield names for the result of an input, the shortest first; the last one is its own alone.

    They are the stem, the whole name, both with the name of its folder, and with a hash of its
    path. The stem of a sequence such as `shot_%05d.png` is `shot`.
    """
    stem = _FRAME_NUMBER.sub("", as_text(path.stem)).strip(". _-") or "input"
    whole = as_text(path.name).lstrip(". ") or "input"
    folder = as_text(Path(os.path.abspath(path)).parent.name).strip(". ") or "root"  # noqa: PTH100
    mark = hashlib.sha256(_key(path).encode("utf-8", "surrogateescape")).hexdigest()
    for name in (stem, whole, f"{folder}-{whole}"):
        yield shortened(name, ROOM)
    yield f"{shortened(whole, ROOM - _HASH_LENGTH - 1)}-{mark[:_HASH_LENGTH]}"


@dataclass(frozen=True)
class NamedResult:
    """A line of the record."""

    source: str
    """Absolute path of the input."""
    bytes: int | None
    """Its size when it was named; None if it could not be read."""
    modified: int | None
    """Its modification time then, in nanoseconds."""
    result: str
    """Name of the folder of its results."""


class ResultNames:
    """The record of a folder of results.

    Args:
        out: The folder.

    """

    def __init__(self, out: Path) -> None:
        self._out = out

    def choose(self, paths: Sequence[Path]) -> list[str]:
        """Return the name of each input's result, and record those that are new.

        Raises:
            OutputError: The record cannot be written.

        """
        folder = self._out / HIDDEN_FOLDER
        try:
            make_folders(folder)
            with FileLock(folder / LOCK):
                chosen = _Choice(self._out, self.known(), paths)
                self._append(chosen.new_lines)
        except OutputError:
            raise
        except OSError as fault:
            raise output_error(fault, Path(fault.filename or folder / RECORD)) from fault
        return chosen.names

    def look_up(self, paths: Sequence[Path]) -> list[str]:
        """Return the names that `choose` would return, without writing anything."""
        return _Choice(self._out, self.known(), paths).names

    def known(self) -> list[NamedResult]:
        """Return the intact lines of the record, the oldest first."""
        record = self._out / HIDDEN_FOLDER / RECORD
        try:
            # A pipe or a device in its place may have no end.
            lines = record.read_bytes().splitlines() if record.is_file() else []
        except OSError:
            return []
        found = []
        for line in lines:
            with suppress(TypeError):
                found.append(NamedResult(**(read_line(line) or {})))
        return found

    def _append(self, lines: Sequence[NamedResult]) -> None:
        if not lines:
            return
        record = self._out / HIDDEN_FOLDER / RECORD
        if record.exists() and not record.is_file():
            raise OutputError(
                "is not a file", where=record, hint="Remove it, or choose another --out."
            )
        with record.open("ab") as file:
            # A line that was cut off must not run into the next one.
            prefix = b"\n" if file.tell() else b""
            file.write(prefix + b"".join(write_line(asdict(one)) for one in lines))
            file.flush()
            os.fsync(file.fileno())
        flush_folder(record.parent)


class _Choice:
    """Names for the inputs of one run.

    Attributes:
        names: The name of each input's result.
        new_lines: What is to be added to the record.

    """

    def __init__(self, out: Path, known: Sequence[NamedResult], paths: Sequence[Path]) -> None:
        self._out = out
        owners = {one.result.casefold(): one for one in known}
        self._taken = set(owners)
        """Recorded names, in lower case."""
        self._known = {one.source: one for one in owners.values()}
        self._by_size: dict[int | None, list[NamedResult]] = {}
        for one in self._known.values():
            self._by_size.setdefault(one.bytes, []).append(one)
        self._paths = {_key(path): path for path in paths}
        self._now = {key: _describe(key, path) for key, path in self._paths.items()}
        self._results: dict[str, str] = {}
        self._given: set[str] = set()
        """Recorded names that an input of this run has."""
        self._digests: dict[str, str | None] = {}
        self._match_paths()
        self._match_contents()
        self._keep_changed()
        self._name_others()
        self.names = [self._results[_key(path)] for path in paths]
        now = [replace(one, result=self._results[key]) for key, one in self._now.items()]
        self.new_lines = [one for one in now if self._known.get(one.source) != one]

    def _give(self, key: str, known: NamedResult) -> None:
        self._results[key] = known.result
        self._given.add(known.result)

    def _match_paths(self) -> None:
        """Give the inputs that are as they were recorded their results."""
        for key, now in self._now.items():
            known = self._known.get(key)
            if known is not None and (known.bytes, known.modified) == (now.bytes, now.modified):
                self._give(key, known)

    def _match_contents(self) -> None:
        """Give the inputs that were renamed the results of their former names."""
        for key, now in self._now.items():
            if key in self._results:
                continue
            for known in self._moved(now.bytes):
                if self._has_result(known.result, key):
                    self._give(key, known)
                    break

    def _moved(self, size: int | None) -> list[NamedResult]:
        """Return the recorded inputs of a size that are not at their places any more."""
        return [
            one
            for one in self._by_size.get(size, ())
            if one.result not in self._given
            and (one.source in self._now or not os.path.lexists(one.source))
        ]

    def _keep_changed(self) -> None:
        """Let inputs whose content changed keep their names: what is there is not overwritten."""
        for key in self._now.keys() - self._results.keys():
            known = self._known.get(key)
            if known is not None and known.result not in self._given:
                self._give(key, known)

    def _name_others(self) -> None:
        """Name the inputs that are not in the record."""
        others = sorted(self._now.keys() - self._results.keys())
        shared = Counter(
            name.casefold()
            for path in self._paths.values()
            for name in dict.fromkeys(candidate_names(path))
        )
        for key in others:
            path = self._paths[key]
            *preferred, unique = candidate_names(path)
            names = [name for name in preferred if name.casefold() not in self._taken]
            own = (name for name in names if self._has_result(name, key))
            free = (
                name
                for name in names
                if shared[name.casefold()] == 1 and _input_of(self._out, name) is None
            )
            self._results[key] = next(own, None) or next(free, unique)

    def _has_result(self, name: str, key: str) -> bool:
        """Whether the result of a name is that of an input."""
        known = _input_of(self._out, name)
        return known is not None and known == self._digest(key)

    def _digest(self, key: str) -> str | None:
        """Return the hash of an input, None if it cannot be read."""
        if key not in self._digests:
            try:
                self._digests[key] = InputBytes(self._paths[key]).digest.sha256
            except InputError:
                self._digests[key] = None
        return self._digests[key]


def _key(path: Path) -> str:
    """Return the absolute path of an input, by which it is recorded."""
    return os.path.realpath(path)


def _describe(key: str, path: Path) -> NamedResult:
    """Return an input as it is now, without a result."""
    try:
        status = [file.stat() for file in input_files(path)]
    except OSError:
        return NamedResult(key, None, None, "")
    modified = max(one.st_mtime_ns for one in status)
    return NamedResult(key, sum(one.st_size for one in status), modified, "")


def _input_of(out: Path, name: str) -> str | None:
    """Return the hash of the input of a finished or interrupted result, None if it is unknown."""
    source = read_manifest(out / name).get("input")
    if isinstance(source, dict) and "sha256" in source:
        return str(source["sha256"])
    request = Journal.stored_request(Workspace(out, name, Path()).work)
    asked = request.get("asked", {}).get("input")
    return None if asked is None else str(asked)
