"""Retrieve results: `watch` packs them on the leased machine, `join` assembles them locally."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import (
    InputMissingError,
    InputUnreadableError,
    OutputError,
    WeightsCorruptError,
)
from jdsr_cli.weights.registry import MANIFEST
from jdsr_train.lease.bundles import SUFFIX, Bundle, BundleStore, read_bundle, read_log_rows
from jdsr_train.lease.files import MIB, digest, format_mib, print_line, read_json, tail, write_json
from jdsr_train.lease.plan import Limits
from jdsr_train.lease.runner import LOCK
from jdsr_train.lease.workspace import (
    READY,
    RUNNING,
    STATE,
    LeaseWorkspace,
    State,
    is_locked,
    read_state,
    seconds_left,
)

PAUSE = 0.5
LOGS = 1 * MIB
"""Largest size of the archive of logs, in bytes."""
TEXT = 48 << 10
"""Number of bytes from the end of each log."""
PICTURES = ("panel.png", "curves.png")
ALL_RETRIEVED = "all finished models are retrieved"
STOPPED = "nothing is running: call `start` again"
FAULTS = ("error", "traceback", "warn", "skipped")


def watch(
    seconds: float,
    out: Path,
    workspace: LeaseWorkspace,
    limits: Limits,
    *,
    midway: bool = False,
    again: bool = False,
) -> None:
    """Wait until weights are ready, the plan is done or the time is over; pack them to be returned.

    Args:
        seconds: Longest wait.
        out: The folder whose files the call returns.
        workspace: The workspace of this machine.
        limits: Limits of the call.
        midway: Whether to return the newest export of the running model if nothing else is ready.
        again: Whether to send pieces again that were already sent.

    Raises:
        InputMissingError: No part is installed yet.
        OutputError: The folder does not exist.
        UsageError: Existing pieces do not fit into these limits.

    """
    workspace.plan()
    if not out.is_dir():
        raise OutputError("no such folder", where=out, hint="Give --out, or set the variable OUT")
    bundles = BundleStore(workspace, limits)
    if again:
        bundles.mark_unsent()
    until = time.monotonic() + seconds
    while True:
        state = read_state(workspace)
        _collect(bundles, state, READY)
        expired = time.monotonic() >= until
        if expired or bundles.unsent() or not is_locked(workspace.out / LOCK):
            break
        time.sleep(PAUSE)
    if midway and not bundles.unsent():
        _collect(bundles, state, RUNNING)
    _print_status(workspace, state)
    logs = _logs(workspace, state)
    name = time.strftime("logs-%Y%m%d-%H%M%S.tgz", time.gmtime())
    (out / name).write_bytes(logs)
    for line in bundles.fill(out, limits.files - 1, int(limits.total_mib * MIB) - len(logs)):
        print_line(line)
    remaining = bundles.unsent()
    if remaining:
        print_line(f"{len(remaining)} more pieces are sent by the next call; make it at once")
    elif state.done:
        print_line(f"the plan is done, {ALL_RETRIEVED}")
    elif not is_locked(workspace.out / LOCK):
        print_line(STOPPED)
    for path in sorted(out.iterdir()):
        print_line(f"  {path.name} {format_mib(path.stat().st_size)}")


def _collect(bundles: BundleStore, state: State, status: str) -> None:
    for name, one in state.models.items():
        if one.state == status:
            bundles.collect(name, final=status == READY)


def _print_status(workspace: LeaseWorkspace, state: State) -> None:
    print_line(state.summary())
    print_line(f"{seconds_left(workspace):.0f} s until the lease ends")
    for name in state.models:
        for folder in sorted(workspace.run_folder(name).glob("*/log.jsonl")):
            rows = read_log_rows(workspace.run_folder(name), folder.parent.name)
            validated = [row for row in rows if "validation_loss" in row]
            if rows:
                print_line(f"{name}, {folder.parent.name}: step {rows[-1]['step']}")
            if validated:
                figures = (
                    f"{key} {value:.4g}"
                    for key, value in list(validated[-1].items())[:8]
                    if isinstance(value, (int, float))
                )
                print_line(f"    {', '.join(figures)}")
    for log in sorted(workspace.log.glob("*.txt")):
        lines = tail(log, TEXT).decode(errors="replace").replace("\r", "\n").splitlines()
        faults = [line for line in lines if any(word in line.lower() for word in FAULTS)]
        for line in faults[-2:]:
            print_line(f"{log.name}: {line.strip()[:300]}")
    if shutil.which("nvidia-smi"):
        query = "--query-gpu=name,utilization.gpu,memory.used"
        result = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        print_line((result.stdout or result.stderr).strip())


def _logs(workspace: LeaseWorkspace, state: State) -> bytes:
    """Return an archive of the ends of the logs, with pictures if they fit."""
    texts = [workspace.out / STATE, *sorted(workspace.log.glob("*.txt"))]
    pictures = []
    for name in state.models:
        texts += sorted(workspace.run_folder(name).glob("*/log.jsonl"))
        pictures += [workspace.run_folder(name) / "joint" / picture for picture in PICTURES]
    entries = [(path, tail(path, TEXT)) for path in texts]
    entries += [(path, path.read_bytes()) for path in pictures if path.is_file()]
    packed = _packed(workspace, entries)
    return packed if len(packed) <= LOGS else _packed(workspace, entries[: len(texts)])


def _packed(workspace: LeaseWorkspace, entries: list[tuple[Path, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, data in entries:
            member = tarfile.TarInfo(path.relative_to(workspace.out).as_posix())
            member.size, member.mtime = len(data), int(time.time())
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


RETRIEVED = "lease.json"
"""File in the target with the origin of each weight file; for comparison of exports."""
PIECES = ".pieces"
HEADER = "[[weights]]"


@dataclass(frozen=True)
class JoinResult:
    """The result of joining the files of a call."""

    written: tuple[str, ...]
    """Weight files that are now complete."""
    waiting: tuple[str, ...]
    """Weight files with missing pieces."""


def join(files_at: Path, target: Path) -> JoinResult:
    """Join the files that a call has returned.

    Args:
        files_at: Folder of the call's files, which is not changed.
        target: Folder of the weights, their manifest and the logs.

    Returns:
        The files that are complete, and those with missing pieces.

    Raises:
        InputMissingError: The folder does not exist.
        WeightsCorruptError: Pieces are damaged; they are listed, and only the others are used.
        OutputError: The target cannot be written.

    """
    if not files_at.is_dir():
        raise InputMissingError("no such folder", where=files_at)
    damaged: list[str] = []
    (target / PIECES).mkdir(parents=True, exist_ok=True)
    for log in sorted(files_at.rglob("logs-*.tgz")):
        (target / "logs").mkdir(exist_ok=True)
        shutil.copyfile(log, target / "logs" / log.name)
    for description in sorted(files_at.rglob(f"*{SUFFIX}")):
        try:
            bundle = read_bundle(description)
        except (InputUnreadableError, TypeError, KeyError, AttributeError):
            damaged.append(description.name)
            continue
        if bundle is not None:
            damaged += _take_pieces(bundle, description, target)
    written, waiting = [], []
    for description in sorted((target / PIECES).glob(f"*{SUFFIX}")):
        bundle = read_bundle(description)
        assert bundle is not None
        paths = [target / PIECES / piece.name for piece in bundle.pieces]
        present = [path for path in paths if path.is_file()]
        if len(present) < len(paths):
            print_line(f"{bundle.file}: {len(present)} of {len(paths)} pieces")
            waiting.append(bundle.file)
            continue
        if _publish(bundle, paths, target):
            written.append(bundle.file)
        _remove([description, *paths])
    if damaged:
        raise WeightsCorruptError(
            f"damaged: {', '.join(damaged)}",
            where=files_at,
            hint="Not used; retrieve them again with `watch 5 --again`",
        )
    return JoinResult(tuple(written), tuple(waiting))


def retrieved(target: Path) -> dict[str, dict[str, Any]]:
    """Return the time of export, the step and the SHA-256 of each retrieved weight file."""
    records: dict[str, dict[str, Any]] = read_json(target / RETRIEVED) or {}
    return records


def _take_pieces(bundle: Bundle, description: Path, target: Path) -> list[str]:
    """Store the intact pieces of a bundle; return the names of the damaged ones."""
    if not _is_newer(bundle, target):
        print_line(f"{bundle.file}: the retrieved version is as new or newer")
        return []
    damaged = []
    for piece in bundle.pieces:
        source, destination = description.parent / piece.name, target / PIECES / piece.name
        if not source.is_file():
            continue
        if source.stat().st_size == piece.bytes and digest(source) == piece.sha256:
            with atomic_file(destination) as temporary:
                shutil.copyfile(source, temporary)
        else:
            damaged.append(piece.name)
    with atomic_file(target / PIECES / description.name) as temporary:
        shutil.copyfile(description, temporary)
    return damaged


def _is_newer(bundle: Bundle, target: Path) -> bool:
    record = retrieved(target).get(bundle.file)
    return record is None or bundle.exported > record["exported"]


def _publish(bundle: Bundle, pieces: list[Path], target: Path) -> bool:
    """Write a complete file, its manifest entry and origin; return False if it is not newer."""
    if not _is_newer(bundle, target):
        return False
    hasher = hashlib.sha256()
    with atomic_file(target / bundle.file) as temporary, temporary.open("wb") as writing:
        for path in pieces:
            data = path.read_bytes()
            hasher.update(data)
            writing.write(data)
        if hasher.hexdigest() != bundle.sha256:
            _remove(pieces)
            raise WeightsCorruptError(
                f"SHA-256 is {hasher.hexdigest()}, recorded is {bundle.sha256}",
                where=bundle.file,
                hint="Retrieve it again with `watch 5 --again`",
            )
    path = target / MANIFEST
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    with atomic_file(path) as temporary:
        temporary.write_text(merge_manifests(before, bundle.manifest), encoding="utf-8")
    records = retrieved(target)
    records[bundle.file] = {
        "exported": bundle.exported,
        "step": bundle.step,
        "sha256": bundle.sha256,
        "final": bundle.final,
        "commit": bundle.commit,
    }
    write_json(target / RETRIEVED, records)
    status = "final" if bundle.final else f"midway, about step {bundle.step:,}"
    print_line(f"{bundle.file}: {format_mib(bundle.bytes)}, SHA-256 {bundle.sha256[:12]}, {status}")
    return True


def merge_manifests(before: str, new: str) -> str:
    """Merge two manifests; entries of the new one replace those of the same files."""
    entries = {_file(text): text for text in _entries(before)}
    entries.update({_file(text): text for text in _entries(new)})
    return "\n".join(f"{text.strip()}\n" for text in entries.values())


def _entries(text: str) -> list[str]:
    """Return the text of each entry; anything before the first one is a comment."""
    entries: list[list[str]] = []
    for line in text.splitlines():
        if line.strip() == HEADER:
            entries.append([])
        if entries:
            entries[-1].append(line)
    return ["\n".join(lines) for lines in entries]


def _file(text: str) -> str:
    return str(tomllib.loads(text)["weights"][0]["file"])


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
