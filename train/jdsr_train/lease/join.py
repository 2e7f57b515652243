"""At home: put the pieces that calls have brought together, and check them."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import InputMissingError, InputUnreadableError, WeightsCorruptError
from jdsr_train.lease.bundles import SUFFIX, Bundle, read_bundle
from jdsr_train.lease.files import digest, mib, read_json, say, write_json

HOME = "lease.json"
"""In the target: what each weight file is, so that an older export never replaces a newer one."""
PIECES = ".pieces"
MANIFEST = "manifest.toml"
HEADER = "[[weights]]"


@dataclass(frozen=True)
class Joined:
    """What a call has changed at home."""

    written: tuple[str, ...]
    """Weight files that are complete now."""
    waiting: tuple[str, ...]
    """Files whose pieces have not all come."""


def join(files_at: Path, target: Path) -> Joined:
    """Take in what a call has brought.

    Args:
        files_at: Folder of the call's files; it is not changed.
        target: Folder of the weights, their manifest and the logs.

    Returns:
        What is complete, and what still waits for pieces.

    Raises:
        InputMissingError: There is no such folder.
        WeightsCorruptError: Pieces are damaged; they are named, everything else was taken in.
        OutputError: The target cannot be written.

    """
    if not files_at.is_dir():
        raise InputMissingError("no such folder", where=files_at)
    damaged: list[str] = []
    (target / PIECES).mkdir(parents=True, exist_ok=True)
    for log in sorted(files_at.rglob("logs-*.tgz")):
        (target / "logs").mkdir(exist_ok=True)
        shutil.copyfile(log, target / "logs" / log.name)
    for described in sorted(files_at.rglob(f"*{SUFFIX}")):
        try:
            bundle = read_bundle(described)
        except (InputUnreadableError, TypeError, KeyError, AttributeError):
            damaged.append(described.name)
            continue
        if bundle is not None:
            damaged += _take_pieces(bundle, described, target)
    written, waiting = [], []
    for described in sorted((target / PIECES).glob(f"*{SUFFIX}")):
        bundle = read_bundle(described)
        assert bundle is not None
        kept = [target / PIECES / piece.name for piece in bundle.pieces]
        here = [path for path in kept if path.is_file()]
        if len(here) < len(kept):
            say(f"{bundle.file}: {len(here)} of {len(kept)} pieces")
            waiting.append(bundle.file)
            continue
        if _publish(bundle, kept, target):
            written.append(bundle.file)
        _remove([described, *kept])
    if damaged:
        raise WeightsCorruptError(
            f"damaged: {', '.join(damaged)}",
            where=files_at,
            hint="Not used; bring them again with `watch 5 --again`",
        )
    return Joined(tuple(written), tuple(waiting))


def home(target: Path) -> dict[str, dict[str, Any]]:
    """Return what is home: for each weight file when it was exported, its step and SHA-256."""
    found: dict[str, dict[str, Any]] = read_json(target / HOME) or {}
    return found


def _take_pieces(bundle: Bundle, described: Path, target: Path) -> list[str]:
    """Keep the sound pieces of a bundle; return the names of those that are not."""
    if not _is_newer(bundle, target):
        say(f"{bundle.file}: what is home already is as new or newer")
        return []
    damaged = []
    for piece in bundle.pieces:
        source, place = described.parent / piece.name, target / PIECES / piece.name
        if not source.is_file():
            continue
        if source.stat().st_size == piece.bytes and digest(source) == piece.sha256:
            with atomic_file(place) as temporary:
                shutil.copyfile(source, temporary)
        else:
            damaged.append(piece.name)
    with atomic_file(target / PIECES / described.name) as temporary:
        shutil.copyfile(described, temporary)
    return damaged


def _is_newer(bundle: Bundle, target: Path) -> bool:
    known = home(target).get(bundle.file)
    return known is None or bundle.exported > known["exported"]


def _publish(bundle: Bundle, kept: list[Path], target: Path) -> bool:
    """Write a complete file, its entry and what it is; return False where a newer one is home."""
    if not _is_newer(bundle, target):
        return False
    found = hashlib.sha256()
    with atomic_file(target / bundle.file) as temporary, temporary.open("wb") as writing:
        for path in kept:
            data = path.read_bytes()
            found.update(data)
            writing.write(data)
        if found.hexdigest() != bundle.sha256:
            _remove(kept)
            raise WeightsCorruptError(
                f"SHA-256 is {found.hexdigest()}, recorded is {bundle.sha256}",
                where=bundle.file,
                hint="Bring it again with `watch 5 --again`",
            )
    path = target / MANIFEST
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    with atomic_file(path) as temporary:
        temporary.write_text(merged(before, bundle.manifest), encoding="utf-8")
    known = home(target)
    known[bundle.file] = {
        "exported": bundle.exported,
        "step": bundle.step,
        "sha256": bundle.sha256,
        "final": bundle.final,
        "commit": bundle.commit,
    }
    write_json(target / HOME, known)
    ended = "final" if bundle.final else f"midway, about step {bundle.step:,}"
    say(f"{bundle.file}: {mib(bundle.bytes)}, SHA-256 {bundle.sha256[:12]} is sound, {ended}")
    return True


def merged(before: str, new: str) -> str:
    """Put the entries of a manifest in place of those of the same files in another."""
    entries = {_file(text): text for text in _entries(before)}
    entries.update({_file(text): text for text in _entries(new)})
    return "\n".join(f"{text.strip()}\n" for text in entries.values())


def _entries(text: str) -> list[str]:
    """Return the text of each entry; what stands before the first one is a comment."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.strip() == HEADER:
            found.append([])
        if found:
            found[-1].append(line)
    return ["\n".join(lines) for lines in found]


def _file(text: str) -> str:
    return str(tomllib.loads(text)["weights"][0]["file"])


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
