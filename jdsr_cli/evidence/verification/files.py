"""Checks of files: everything in the folder is recorded, and is as it was recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jdsr_cli.evidence.manifest import MANIFEST, REPORT
from jdsr_cli.evidence.sums import SUMS, parse_sum
from jdsr_cli.evidence.verification.findings import Finding
from jdsr_cli.evidence.verification.stored_result import (
    FACES,
    LEFT_OUT,
    TRACKS,
    StoredResult,
    is_video,
    shown,
)

UNRECORDED = (MANIFEST, SUMS, REPORT)
"""Files whose hashes are in no record; they are written after the records."""


@dataclass(frozen=True)
class _Statement:
    """What a file of the result states about another one."""

    source: str
    line: int | None
    sha256: str
    bytes: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source} (line {self.line})"


def check_entries(result: StoredResult) -> Iterator[Finding]:
    """Name what is no regular file, or cannot be read."""
    assert result.digests is not None
    for name, what in result.others.items():
        yield Finding("problem", shown(name), what)


def check_sums_form(result: StoredResult) -> Iterator[Finding]:
    """Check that `SHA256SUMS` is there and has the form in which it is written."""
    if SUMS not in result.sizes:
        if SUMS in result.others:
            return
        if result.schema_version is None and result.manifest:
            what = "is not in this result of an earlier version; see the hashes in the manifest"
            yield Finding("note", SUMS, what)
        else:
            yield Finding("problem", SUMS, "is missing")
        return
    converted = [number for number, line in result.lines(SUMS) if line.endswith(b"\r\n")]
    if converted:
        what = (
            f"has line ends of Windows (CR LF) in {len(converted)} lines: its text was converted, "
            "and sha256sum cannot read it. Convert it back to LF"
        )
        yield Finding("problem", SUMS, what, converted[0])
    names: list[str] = []
    for number, one in result.sums:
        if one is None:
            what = "is not a line as sha256sum writes it: a hash, two spaces and a name"
            yield Finding("problem", SUMS, what, number)
        elif names and one.file <= names[-1]:
            what = f"{shown(one.file)} is not in the order in which files are listed"
            yield Finding("problem", SUMS, what, number)
        names += [] if one is None else [one.file]
    if not result.sums:
        yield Finding("problem", SUMS, "is empty")


def check_left_out(result: StoredResult) -> Iterator[Finding]:
    """Check that the list of what was left out of a bundle names recorded videos only."""
    if result.sizes.get(LEFT_OUT) == 0:
        yield Finding("problem", LEFT_OUT, "is empty")
    for number, line in result.lines(LEFT_OUT):
        one = parse_sum(line.removesuffix(b"\n").decode("utf-8", "surrogateescape"))
        if one is None:
            what = "is not a line as sha256sum writes it: a hash, two spaces and a name"
        elif one.file in result.sizes:
            continue
        elif not is_video(one.file):
            what = f"names {shown(one.file)}: only videos can be left out"
        elif one.file not in result.left_out:
            what = f"names {shown(one.file)} with a hash that is not recorded"
        else:
            continue
        yield Finding("problem", LEFT_OUT, what, number)


def check_files(result: StoredResult) -> Iterator[Finding]:
    """Compare every file with every hash of it that is recorded."""
    stated: dict[str, list[_Statement]] = {}
    for name, statement in _statements(result):
        if _leads_outside(name):
            what = f"names {shown(name)}, which is not in the folder, and was not read"
            yield Finding("problem", statement.source, what, statement.line)
        else:
            stated.setdefault(name, []).append(statement)
    for name, statements in stated.items():
        yield from _compare(result, name, statements)
    yield from _added(result, stated)


def own_names(result: StoredResult) -> set[str]:
    """Return the files of a result that need no record, and those in `SHA256SUMS` and manifest."""
    return {*UNRECORDED, LEFT_OUT, *(one.file for one in result.recorded_sums)}


def recorded_names(result: StoredResult) -> set[str]:
    """Return the files that anything in a result lists; all records are read."""
    return {name for name, _ in _statements(result)}


def _statements(result: StoredResult) -> Iterator[tuple[str, _Statement]]:
    for number, one in result.sums:
        if one is not None:
            yield one.file, _Statement(SUMS, number, one.sha256)
    outputs = result.manifest.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        for name, sha256 in _hashed(output):
            size = output.get("bytes") if isinstance(output, dict) else None
            yield name, _Statement(MANIFEST, None, sha256, size if type(size) is int else None)
    for source in (TRACKS, FACES):
        for number, record in result.records(source):
            for name, sha256 in _hashed(record):
                yield name, _Statement(source, number, sha256)


def _hashed(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the files that a record names with their hashes, in objects at any depth."""
    if isinstance(value, Mapping):
        name, sha256 = value.get("file"), value.get("sha256")
        if isinstance(name, str) and isinstance(sha256, str):
            yield name, sha256
        for item in value.values():
            if isinstance(item, (dict, list)):
                yield from _hashed(item)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, (dict, list)):
                yield from _hashed(item)


def _leads_outside(name: str) -> bool:
    """Whether a name cannot be that of a file in the folder."""
    parts = name.split("/")
    return not name or any(part in ("", ".", "..") for part in parts) or "\0" in name


def _compare(result: StoredResult, name: str, statements: list[_Statement]) -> Iterator[Finding]:
    digest = result.digests.get(name)
    if digest is None:
        if name in result.left_out:
            what = "was left out of the bundle, and is not compared; its maker has it"
            yield Finding("note", shown(name), what)
        elif name not in result.others:
            sources = _joined(statements)
            yield Finding("problem", shown(name), f"is missing; it is recorded in {sources}")
        return
    other = [one for one in statements if one.sha256 != digest.sha256]
    right = [one for one in statements if one.sha256 == digest.sha256]
    if other and not right:
        what = f"was changed: its SHA-256 is not that in {_joined(other)}"
        yield Finding("problem", shown(name), what)
    elif other:
        for one in other:
            what = f"states another SHA-256 of {shown(name)} than {_joined(right)}, which is right"
            yield Finding("problem", one.source, what, one.line)
    for one in right:
        if one.bytes not in (None, digest.bytes):
            what = f"states {one.bytes:,} bytes for {shown(name)}, which has {digest.bytes:,}"
            yield Finding("problem", one.source, what, one.line)


def _added(result: StoredResult, stated: Mapping[str, list[_Statement]]) -> Iterator[Finding]:
    """Name the files that something does not list which lists all others."""
    for name in result.sizes:
        if name == LEFT_OUT:
            continue
        sources = {one.source for one in stated.get(name, ())}
        if name != SUMS and SUMS in result.sizes and SUMS not in sources:
            yield Finding("problem", shown(name), f"was added: {SUMS} does not list it")
        elif name not in UNRECORDED and not sources - {SUMS} and result.manifest:
            what = "was added: neither the manifest nor a record names it"
            yield Finding("problem", shown(name), what)


def _joined(statements: list[_Statement]) -> str:
    names = dict.fromkeys(map(str, statements))
    return " and ".join(list(names)[:3])
