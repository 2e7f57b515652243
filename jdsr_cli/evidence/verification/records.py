"""Checks of the manifest and of each record against the JSON schemas."""

from __future__ import annotations

from collections.abc import Iterator

from jdsr_cli.evidence.manifest import MANIFEST
from jdsr_cli.evidence.schemas import RecordSchema, record_schema
from jdsr_cli.evidence.verification.findings import Finding
from jdsr_cli.evidence.verification.stored_json import InvalidJsonError, parse_object
from jdsr_cli.evidence.verification.stored_result import FACES, TRACKS, StoredResult, shown

MOST = 20
"""Lines of a file whose faults are named one by one; a further finding counts the others."""
_STEP = 256
"""Lines after which progress is reported."""


def check_manifest(result: StoredResult) -> Iterator[Finding]:
    """Check that the manifest can be read and agrees with its schema."""
    if result.manifest_fault is not None:
        if MANIFEST not in result.others:
            yield Finding("problem", MANIFEST, result.manifest_fault)
    elif result.schema_version is None:
        what = (
            "states no schema_version: the result is of an earlier version of jdsr, and its "
            "records are checked by hashes and counts only"
        )
        yield Finding("note", MANIFEST, what)
    else:
        for fault in record_schema("manifest").faults(result.manifest)[:MOST]:
            yield Finding("problem", MANIFEST, shown(fault))


def check_records(result: StoredResult) -> Iterator[Finding]:
    """Check that each line of the records is JSON and agrees with its schema."""
    described = result.schema_version is not None or not result.manifest
    yield from _check_lines(result, TRACKS, record_schema("tracks") if described else None)
    yield from _check_lines(result, FACES, record_schema("faces") if described else None)


def _check_lines(result: StoredResult, name: str, schema: RecordSchema | None) -> Iterator[Finding]:
    if name not in result.sizes:
        if name not in result.others:
            yield Finding("problem", name, "is missing")
        return
    faulty = 0
    task = f"{result.folder.name}: {name} (lines)"
    result.progress.begin(task, None)
    try:
        for number, line in result.lines(name):
            if number % _STEP == 0:
                result.progress.advance(task, _STEP)
            fault = _fault(line, schema)
            if fault is None:
                continue
            faulty += 1
            if faulty <= MOST:
                yield Finding("problem", name, fault, number)
    finally:
        result.progress.end(task)
    if faulty > MOST:
        yield Finding("problem", name, f"{faulty - MOST} more lines are not as they are written")


def _fault(line: bytes, schema: RecordSchema | None) -> str | None:
    """Return what is wrong with a line, None if nothing is."""
    if not line.endswith(b"\n"):
        return "the line is cut off"
    try:
        record = parse_object(line)
    except InvalidJsonError as fault:
        return f"the record {fault}"
    faults = schema.faults(record) if schema is not None else []
    return shown("; ".join(faults[:3])) if faults else None
