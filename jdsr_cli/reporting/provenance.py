"""What a report says about the run: input, settings, versions, hashes, device, notes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from jdsr_cli.reporting.folder import ResultFolder
from jdsr_cli.reporting.values import (
    Record,
    counts,
    items,
    number,
    ratio,
    shown,
    table,
    tables,
    text,
    whole,
)
from jdsr_cli.reporting.wording import (
    REFUSALS,
    UNKNOWN_REFUSAL,
    clock,
    counted,
    frame_rate,
    size_of_file,
)
from jdsr_cli.settings import RestoreSettings, declared

MAX_ITEMS = 1000
"""Notes, files and settings that are listed at most."""


@dataclass(frozen=True)
class HashRow:
    """A file and its hash."""

    role: str
    file: str
    bytes: str
    sha256: str
    link: str | None = None


@dataclass(frozen=True)
class RefusalRow:
    """A kind of refusal."""

    kind: str
    count: int
    explanation: str


@dataclass(frozen=True)
class Provenance:
    """Everything about the run."""

    name: str
    """File name of the input."""
    path: str
    created: str
    version: str
    duration: float | None
    """Of the input in seconds."""
    facts: list[tuple[str, str]]
    """Properties of the input."""
    counts: list[tuple[str, int]]
    refusals: list[RefusalRow]
    changed: list[tuple[str, str, str]]
    """Settings that differ from the default: option, value, default."""
    unchanged: list[tuple[str, str]]
    tools: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    hashes: list[HashRow]
    figures: list[tuple[str, str]]
    seconds: list[tuple[str, str]]
    notes: list[str]
    unread: list[str]
    selection: list[tuple[str, str]]
    """Who was selected, and how sure that is; empty if everybody was restored."""
    covered_heads: int | None
    """Heads that were made unrecognisable; None if that was not asked for."""
    has_frames: bool
    """Whether restored frames were written."""
    part: str
    """Which part of faces was restored, as in ``--restore``."""
    credentials: str | None
    """Who has signed files, as the manifest states."""


def describe_run(folder: ResultFolder) -> Provenance:
    """Return what the manifest of a result says."""
    manifest = folder.manifest
    source, media = table(manifest, "input"), table(manifest, "media")
    path = text(source, "file") or "unknown"
    duration = ratio(media, "duration")
    changed, unchanged = _settings(table(manifest, "settings"))
    unread = _texts(manifest, "unread")
    return Provenance(
        name=PurePosixPath(path).name or path,
        path=path,
        created=text(manifest, "created") or "unknown",
        version=text(table(manifest, "versions"), "jdsr") or "unknown",
        duration=duration,
        facts=_input_facts(source, media),
        counts=_run_counts(table(manifest, "counts")),
        refusals=[
            RefusalRow(kind, count, REFUSALS.get(kind, UNKNOWN_REFUSAL))
            for kind, count in counts(table(manifest, "counts"), "refusals").items()
        ],
        changed=changed,
        unchanged=unchanged,
        tools=_tools(manifest),
        versions=_pairs(table(manifest, "versions")),
        hashes=_hashes(folder),
        figures=_pairs(table(manifest, "figures")),
        selection=_selection(manifest),
        covered_heads=_covered_heads(manifest),
        has_frames=text(table(manifest, "settings"), "mode") != "crops",
        part=_part(manifest),
        credentials=_credentials(table(manifest, "credentials")),
        seconds=[(name, f"{value} s") for name, value in _pairs(table(manifest, "seconds"))],
        notes=[note for note in _texts(manifest, "notes") if note not in unread],
        unread=unread,
    )


def _part(manifest: Record) -> str:
    """Return the setting `restore`: `all`, `covered` or `uncovered`; `all` if it is not known."""
    stated = text(table(manifest, "settings"), "restore")
    return stated if stated in ("covered", "uncovered") else "all"


def _covered_heads(manifest: Record) -> int | None:
    """Return how many heads were made unrecognisable; None without ``--blur-others``."""
    if table(table(manifest, "settings"), "privacy").get("blur_others") is not True:
        return None
    return whole(table(table(manifest, "figures"), "people"), "covered_heads") or 0


def _selection(manifest: Record) -> list[tuple[str, str]]:
    """Return who was selected and how sure that is; empty if everybody was restored."""
    people = table(table(manifest, "figures"), "people")
    if not people:
        return []
    chosen = table(people, "selected")
    photograph = text(table(manifest, "detector"), "reference_sha256")
    level = number(table(table(manifest, "settings"), "privacy"), "reference_level")
    rows = []
    for track in list(chosen)[:MAX_ITEMS]:
        similarity = number(chosen, track)
        words = "chosen by its number (--only-track)"
        if similarity is not None:
            words = f"similarity (cosine) to the photograph {similarity:.2f}"
        rows.append((f"Person {shown(track)}", words))
    if not rows:
        rows.append(("Persons", "nobody in this input is one of those selected"))
    nearest = number(people, "nearest_other")
    if photograph is not None and level is not None:
        rows.append(("Level", f"{level:.2f}: tracks from this similarity on are the person"))
    if nearest is not None:
        rows.append(("Most similar of the others", f"{nearest:.2f}"))
    if photograph is not None:
        rows.append(("SHA-256 of the photograph", photograph))
    return rows


def _credentials(stated: Record) -> str | None:
    """Return who the manifest says has signed files of the result; None if nobody."""
    files = items(stated, "files")
    if not files:
        return None
    subject, digest = text(stated, "subject"), text(stated, "certificate_sha256")
    return (
        f"The manifest states that {counted(len(files), 'file')} of this result carry content "
        f"credentials (C2PA) signed by {subject or 'an unknown signer'}, certificate SHA-256 "
        f"{digest or 'unknown'}. This page has not verified them: jdsr verify does."
    )


def _input_facts(source: Record, media: Record) -> list[tuple[str, str]]:
    size = whole(source, "bytes")
    width, height = whole(media, "width"), whole(media, "height")
    length = ratio(media, "duration")
    rows = (
        ("File", text(source, "file")),
        ("Size", None if size is None else size_of_file(size)),
        ("Kind", text(media, "kind")),
        ("Frame size", f"{width} x {height} px" if width and height else None),
        ("Frame rate by the header", frame_rate(media)),
        ("Duration by the header", None if length is None else clock(length)),
        ("Container and codec", _joined(media, "container", "codec", "pixel_format")),
        ("Salvaged", "yes, by a stream copy" if media.get("salvaged") is True else None),
    )
    return [(label, value) for label, value in rows if value]


def _joined(record: Record, *names: str) -> str | None:
    return ", ".join(value for name in names if (value := text(record, name))) or None


def _run_counts(record: Record) -> list[tuple[str, int]]:
    words = (
        ("frames_read", "frames read"),
        ("frames_written", "frames written"),
        ("tracks", "persons tracked"),
        ("faces_found", "faces found"),
        ("faces_bridged", "faces interpolated"),
        ("faces_restored", "faces restored"),
        ("faces_masked", "restored faces covered by a mask"),
        ("faces_unsure", "restored faces not certain to be covered"),
        ("faces_refused", "faces refused"),
    )
    found = [(label, whole(record, name)) for name, label in words]
    return [(label, value) for label, value in found if value is not None]


def _settings(
    recorded: Record,
) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
    """Return settings that differ from the default, with it, and the others."""
    defaults = _flat(json.loads(json.dumps(asdict(RestoreSettings()), default=str)))
    flags = {".".join(one.path): one.flag for one in declared(RestoreSettings)}
    changed, unchanged = [], []
    for name, value in list(_flat(recorded).items())[:MAX_ITEMS]:
        label = flags.get(name) or shown(name)
        if name in defaults and defaults[name] != value:
            changed.append((label, _setting(value), _setting(defaults[name])))
        else:
            unchanged.append((label, _setting(value)))
    return changed, unchanged


def _flat(record: Record, path: str = "") -> dict[str, Any]:
    """Return the values of nested objects by their path."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict) and path.count(".") < 4:
            flat |= _flat(value, f"{path}{name}.")
        else:
            flat[f"{path}{name}"] = value
    return flat


def _setting(value: object) -> str:
    if value is None:
        return "automatic"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shown(value)


def _tools(manifest: Record) -> list[tuple[str, str]]:
    device, detector = table(manifest, "device"), table(manifest, "detector")
    weights = table(manifest, "weights")
    entry = table(weights, "entry")
    rows = (
        ("Network", text(weights, "name")),
        ("Network for fused faces", text(table(weights, "burst"), "name")),
        ("Precision and backend", _joined(weights, "precision", "backend")),
        ("Trained on", text(entry, "data")),
        ("Licence of the weights", text(entry, "licence")),
        ("Detector", _joined(detector, "name", "backend")),
        ("Device", _joined(device, "kind", "name", "system")),
    )
    return [(label, value) for label, value in rows if value]


def _hashes(folder: ResultFolder) -> list[HashRow]:
    manifest = folder.manifest
    weights, detector = table(manifest, "weights"), table(manifest, "detector")
    rows = [
        HashRow("manifest", "manifest.json", "", folder.manifest_sha256, "./manifest.json"),
        _hash_row("input", table(manifest, "input")),
        *(_hash_row("output", one, folder) for one in tables(manifest, "outputs")[:MAX_ITEMS]),
        _hash_row("weights", weights),
        _hash_row("weights for fused faces", table(weights, "burst")),
        _hash_row("detector", {"file": detector.get("name"), "sha256": detector.get("sha256")}),
        _hash_row(
            "face network",
            {"file": "--identity", "sha256": detector.get("identity_sha256")},
        ),
    ]
    return [row for row in rows if row.sha256]


def _hash_row(role: str, entry: Record, folder: ResultFolder | None = None) -> HashRow:
    size, name = whole(entry, "bytes"), entry.get("file")
    link = folder.link(name) if folder is not None and isinstance(name, str) else None
    file = text(entry, "file") or "unknown"
    shown_size = "" if size is None else size_of_file(size)
    return HashRow(role, file, shown_size, text(entry, "sha256") or "", link)


def _texts(record: Record, name: str) -> list[str]:
    found = [shown(one) for one in items(record, name) if isinstance(one, str)]
    rest = len(found) - MAX_ITEMS
    return [*found[:MAX_ITEMS], *([f"{rest} more, see manifest.json"] if rest > 0 else [])]


def _pairs(record: Record) -> list[tuple[str, str]]:
    found = []
    for name in list(record)[:MAX_ITEMS]:
        value = number(record, name)
        written = text(record, name) if value is None else f"{value:g}"
        if written is not None:
            found.append((shown(name), written))
    return found
