"""Exported weights of a run, and the bundles that divide them into pieces for retrieval."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jdsr_cli.atomic import publish
from jdsr_cli.errors import UsageError
from jdsr_cli.weights.registry import MANIFEST
from jdsr_train.lease.files import copy_range, digest, format_mib, read_json, tail, write_json
from jdsr_train.lease.plan import Limits
from jdsr_train.lease.workspace import COMMIT, LeaseWorkspace

SUFFIX = ".bundle.json"
SENT = "sent.json"


@dataclass(frozen=True)
class BundlePiece:
    """A piece of a weight file."""

    name: str
    """Name of its file: letters, digits, dots, hyphens and underscores."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Bundle:
    """A weight file, its manifest and its pieces; stored as JSON beside the pieces."""

    model: str
    """Name of the model in the plan."""
    file: str
    sha256: str
    bytes: int
    exported: float
    """Time of the export in seconds since 1970; a later export replaces an earlier one."""
    step: int
    """Last logged step of the joint stage when the bundle was created."""
    final: bool
    """Whether the model's training has ended."""
    commit: str
    manifest: str
    pieces: tuple[BundlePiece, ...]

    @property
    def stem(self) -> str:
        """Prefix of the names of its files."""
        return bundle_stem(self.file, self.sha256)


def bundle_stem(file: str, sha256: str) -> str:
    """Return the prefix of the names of a bundle's files."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', Path(file).stem)}.{sha256[:8]}"


class BundleStore:
    """The bundles of a leased machine, and which pieces have been sent.

    Args:
        workspace: The workspace of this machine.
        limits: Limits of a call.

    """

    def __init__(self, workspace: LeaseWorkspace, limits: Limits) -> None:
        self.workspace, self.limits = workspace, limits
        self.folder = workspace.out / "bundles"
        stored = read_json(self.folder / SENT) or {"newest": {}, "sent": []}
        self._newest: dict[str, str] = stored["newest"]
        self._sent: list[str] = stored["sent"]

    def collect(self, model: str, *, final: bool) -> None:
        """Create a bundle of a model's newest export, unless it exists."""
        link = self.folder / f".{model}.safetensors"
        export = find_export(self.workspace.run_folder(model), link)
        if export is None:
            return
        before = self._bundle(model)
        if before is not None and before.sha256 == export.sha256:
            link.unlink()
            return
        (entry,) = tomllib.loads(export.manifest)["weights"]
        size, piece = link.stat().st_size, self.limits.piece
        stem = bundle_stem(entry["file"], export.sha256)
        count, pieces = max(1, -(-size // piece)), []
        for number in range(count):
            length = min(piece, size - number * piece)
            hasher = hashlib.sha256()
            with link.open("rb") as stream:
                stream.seek(number * piece)
                hasher.update(stream.read(length))
            name = f"{stem}.{number + 1:02d}of{count:02d}"
            pieces.append(BundlePiece(name, length, hasher.hexdigest()))
        commit = (self.workspace.common / COMMIT).read_text(encoding="utf-8").strip()
        bundle = Bundle(
            model, entry["file"], export.sha256, size, export.exported,
            last_step(self.workspace.run_folder(model)), final, commit, export.manifest,
            tuple(pieces),
        )  # fmt: skip
        publish(link, self.folder / f"{stem}.safetensors")
        write_json(self.folder / f"{stem}{SUFFIX}", asdict(bundle))
        self._newest[model] = stem
        self._save()

    def unsent(self) -> list[tuple[Bundle, BundlePiece]]:
        """Return the pieces of each model's newest bundle that have not been sent."""
        return [
            (bundle, piece)
            for bundle in self._bundles()
            for piece in bundle.pieces
            if piece.name not in self._sent
        ]

    def mark_unsent(self) -> None:
        """Mark every piece as not sent."""
        self._sent.clear()
        self._save()

    def fill(self, out: Path, files: int, size: int) -> list[str]:
        """Copy as many unsent pieces as fit into a folder, with the JSON files of their bundles.

        Args:
            out: The folder.
            files: Largest number of files.
            size: Largest number of bytes.

        Returns:
            Descriptions of what was copied.

        Raises:
            UsageError: A piece that was created for other limits does not fit.

        """
        copied: dict[str, list[BundlePiece]] = {}
        unsent = self.unsent()
        for bundle, piece in unsent:
            description = self.folder / f"{bundle.stem}{SUFFIX}"
            is_new = bundle.stem not in copied
            needed = piece.bytes + (description.stat().st_size if is_new else 0)
            if piece.bytes > self.limits.piece or needed > size or files < 1 + is_new:
                break
            if is_new:
                (out / description.name).write_bytes(description.read_bytes())
            first = sum(one.bytes for one in bundle.pieces[: bundle.pieces.index(piece)])
            copy_range(
                self.folder / f"{bundle.stem}.safetensors", out / piece.name, first, piece.bytes,
                lambda data: None,
            )  # fmt: skip
            copied.setdefault(bundle.stem, []).append(piece)
            size, files = size - needed, files - 1 - is_new
            self._sent.append(piece.name)
        if unsent and not copied:
            raise UsageError(
                f"a piece of {format_mib(unsent[0][1].bytes)} does not fit",
                hint="Give the limits of the first call (--file-mib, --total-mib)",
            )
        self._save()
        return [
            f"sending {stem}: {len(pieces)} pieces, {format_mib(sum(one.bytes for one in pieces))}"
            for stem, pieces in copied.items()
        ]

    def _bundle(self, model: str) -> Bundle | None:
        stem = self._newest.get(model)
        return None if stem is None else read_bundle(self.folder / f"{stem}{SUFFIX}")

    def _bundles(self) -> Iterator[Bundle]:
        for model in self._newest:
            bundle = self._bundle(model)
            if bundle is not None:
                yield bundle

    def _save(self) -> None:
        write_json(self.folder / SENT, {"newest": self._newest, "sent": self._sent})


def read_bundle(path: Path) -> Bundle | None:
    """Read the JSON file of a bundle; None if it does not exist.

    Raises:
        InputUnreadableError: The file is damaged.

    """
    values = read_json(path)
    if values is None:
        return None
    pieces = tuple(BundlePiece(**one) for one in values.pop("pieces"))
    return Bundle(**values, pieces=pieces)


TRIES = 5
LOG_TAIL = 1 << 18


@dataclass(frozen=True)
class Export:
    """Exported weights and their manifest."""

    path: Path
    manifest: str
    """Text of the manifest."""
    sha256: str
    exported: float
    """Time of the export in seconds since 1970."""


def find_export(run: Path, link: Path | None = None) -> Export | None:
    """Return the newest export of a run; None if there is none that is complete.

    During a run the weights and the manifest are replaced one after the other, so they are read
    until they agree.

    Args:
        run: The run's folder.
        link: Path on the same disk for a hard link to the file that was read.

    """
    for attempt in range(TRIES):
        if attempt:
            time.sleep(0.5)
        export = _read_export(run / "weights", link)
        if export is not None:
            return export
        if not (run / "weights").is_dir():
            return None
    return None


def _read_export(folder: Path, link: Path | None) -> Export | None:
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        (entry,) = tomllib.loads(text)["weights"]
        path = folder / entry["file"]
        if link is not None:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            os.link(path, link)
            path = link
        exported = path.stat().st_mtime
        if digest(path) != entry["sha256"]:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Export(path, text, entry["sha256"], exported)


def read_log_rows(run: Path, stage: str = "joint") -> list[dict[str, Any]]:
    """Return the last records of a stage's log."""
    rows = []
    for line in tail(run / stage / "log.jsonl", LOG_TAIL).decode(errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # an incomplete first or last line
            continue
        if isinstance(row, dict) and "step" in row:
            rows.append(row)
    return rows


def last_step(run: Path) -> int:
    """Return the last logged step of the joint stage; 0 without a log."""
    rows = read_log_rows(run)
    return int(rows[-1]["step"]) if rows else 0
