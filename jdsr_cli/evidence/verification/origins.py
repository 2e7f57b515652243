"""Checks of what a result was made from: the input, where it is still there, and the weights."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jdsr_cli.atomic import HIDDEN_FOLDER
from jdsr_cli.errors import InputError, JdsrError
from jdsr_cli.evidence.manifest import CHUNK, MANIFEST
from jdsr_cli.evidence.verification.findings import Finding
from jdsr_cli.evidence.verification.stored_json import MAX_BYTES
from jdsr_cli.evidence.verification.stored_result import StoredResult, shown
from jdsr_cli.media import STANDARD_INPUT, input_files
from jdsr_cli.restoration.result_names import RECORD, ResultNames
from jdsr_cli.weights import entries


class RecordedSources:
    """The inputs of results by the records of names beside them, each of which is read once."""

    def __init__(self) -> None:
        self._folders: dict[Path, Mapping[str, Sequence[str]]] = {}

    def of(self, result: Path) -> Sequence[str]:
        """Return the absolute paths of the input of the result in a folder, the latest first."""
        path = result.absolute()
        return self.in_folder(path.parent).get(path.name, ())

    def in_folder(self, out: Path) -> Mapping[str, Sequence[str]]:
        """Return the paths of the inputs that a folder of results records, by name of result."""
        out = out.absolute()
        if out not in self._folders:
            self._folders[out] = _read_sources(out)
        return self._folders[out]


def _read_sources(out: Path) -> Mapping[str, Sequence[str]]:
    record = out / HIDDEN_FOLDER / RECORD
    try:
        if record.is_symlink() or record.stat().st_size > MAX_BYTES:
            return {}
    except OSError:
        return {}
    sources: dict[str, list[str]] = {}
    for one in reversed(ResultNames(out).known()):
        sources.setdefault(one.result, []).append(one.source)
    return sources


def check_input(result: StoredResult) -> Iterator[Finding]:
    """Compare the input with its hash, where it is still at its place."""
    stated = result.manifest.get("input")
    if not isinstance(stated, dict) or not isinstance(stated.get("file"), str):
        return
    name = stated["file"]
    if name == STANDARD_INPUT:
        yield Finding("note", MANIFEST, "the input came from standard input and is not compared")
        return
    files = find_input(result)
    if not files:
        what = f"the input {shown(name)} is not at its place on this machine and is not compared"
        yield Finding("note", MANIFEST, what)
        return
    where = shown(files[0] if len(files) == 1 else name)
    try:
        size = sum(file.stat().st_size for file in files)
        if size != stated.get("bytes"):
            what = f"the input {where} was changed: it has {size:,} bytes, recorded are "
            yield Finding("problem", MANIFEST, what + shown(stated.get("bytes")))
        elif _hash(result, files) != stated.get("sha256"):
            what = f"the input {where} was changed: its SHA-256 is not the recorded one"
            yield Finding("problem", MANIFEST, what)
        else:
            yield Finding("note", MANIFEST, f"the input {where} is as recorded")
    except OSError as fault:
        what = f"the input {where} cannot be read ({fault.strerror or fault}) and is not compared"
        yield Finding("note", MANIFEST, what)


def find_input(result: StoredResult) -> list[Path]:
    """Return the files of the input at its recorded place; empty if they are not there.

    The record of names beside the result holds the absolute path, the manifest the path as it was
    given.
    """
    stated = result.manifest.get("input")
    given = stated.get("file") if isinstance(stated, dict) else None
    for path in (*result.sources, *([given] if isinstance(given, str) else [])):
        try:
            files = input_files(Path(path))
            # A pipe in its place would be waited for.
            if files and all(stat.S_ISREG(file.stat().st_mode) for file in files):
                return files
        except (InputError, OSError, ValueError):
            continue
    return []


def _hash(result: StoredResult, files: list[Path]) -> str:
    """Return the hash of all files together, with progress."""
    digest = hashlib.sha256()
    task = f"{result.folder.name}: input (MiB)"
    result.progress.begin(task, sum(-(-file.stat().st_size // CHUNK) for file in files))
    try:
        for file in files:
            with file.open("rb") as stream:
                while block := stream.read(CHUNK):
                    digest.update(block)
                    result.progress.advance(task)
    finally:
        result.progress.end(task)
    return digest.hexdigest()


def check_weights(result: StoredResult) -> Iterator[Finding]:
    """Say, as information, whether the weights are those that this installation knows."""
    stated = result.manifest.get("weights")
    if not isinstance(stated, dict):
        return
    try:
        known = {hash_: label for label, hash_ in _known_hashes()}
    except JdsrError as fault:
        yield Finding("note", MANIFEST, f"the weights are not compared: {fault.what}")
        return
    for one, what in (
        (stated, "the weights"),
        (stated.get("burst"), "the weights for fused faces"),
    ):
        if not isinstance(one, dict):
            continue
        sha256 = one.get("sha256")
        if isinstance(sha256, str) and sha256 in known:
            found = f"{what} are {known[sha256]}, as this installation lists them"
        else:
            name = shown(one.get("name") or one.get("file"))
            found = f"{what} {name} are not listed by this installation"
        yield Finding("note", MANIFEST, found)


def _known_hashes() -> Iterator[tuple[str, Any]]:
    for entry in entries():
        yield entry.name, entry.sha256
        for precision, export in entry.exports.items():
            yield f"{entry.name} in {precision}", export.sha256
