"""`index.html`: the page that lists the results in a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import JdsrError, OutputError
from jdsr_cli.evidence import REPORT
from jdsr_cli.progress import Progress
from jdsr_cli.reporting.folder import ResultFolder, is_result, refuse_link
from jdsr_cli.reporting.provenance import describe_run
from jdsr_cli.reporting.templating import GENERATOR, render
from jdsr_cli.reporting.values import shown, table, whole
from jdsr_cli.reporting.wording import clock, counted, unexpected

INDEX = "index.html"
"""Name of the list of results in their folder."""
_HEAD = 16384
"""Bytes of a page in which the tag `generator` is searched: it comes before the style."""


@dataclass(frozen=True)
class IndexRow:
    """A result in the list."""

    name: str
    link: str | None
    input: str
    duration: str
    persons: str
    restored: str
    refused: str
    created: str
    note: str


def find_results(out: Path) -> list[Path]:
    """Return the folders with a manifest in a folder of results, by name, without hidden ones.

    Raises:
        OSError: The folder cannot be listed.

    """
    with os.scandir(out) as entries:
        names = [one.name for one in entries if not one.name.startswith(".") and one.is_dir()]
    return [out / name for name in sorted(names) if is_result(out / name)]


def update_index(out: Path) -> Path | None:
    """Write the list of results into their folder if it holds two or more.

    Args:
        out: Folder of results.

    Returns:
        The file, None if there are fewer results.

    Raises:
        OutputError: The folder cannot be listed or written, or it holds an `index.html` that is
            not of jdsr, which is kept.

    """
    try:
        results = find_results(out)
    except OSError as fault:
        raise OutputError(f"cannot be listed ({fault.strerror or fault})", where=out) from fault
    if len(results) < 2:
        return None
    path = out / INDEX
    exists = os.path.lexists(path)
    if exists and not _is_own(path):
        raise OutputError(
            "is not a page of jdsr, so the list of results is not written",
            where=path,
            hint="Rename it, then use `jdsr report` on the folder.",
        )
    rows = [_describe(folder) for folder in results]
    name = shown(out.resolve().name or out)
    page = render("index.html.j2", name=name, rows=rows, others=_without_report(rows))
    with atomic_file(path, replace=exists) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def list_results(out: Path, progress: Progress) -> None:
    """Update the list of results after a run; a fault is a note, since the results are there."""
    try:
        update_index(out)
    except OutputError as fault:
        progress.note(str(fault))


def _without_report(rows: list[IndexRow]) -> int:
    return sum(row.link is None for row in rows)


def _is_own(path: Path) -> bool:
    try:
        if path.is_symlink():
            return False
        with path.open("rb") as file:
            return f'<meta name="generator" content="{GENERATOR} '.encode() in file.read(_HEAD)
    except OSError:
        return False


def _describe(folder: Path) -> IndexRow:
    name = shown(folder.name)
    try:
        refuse_link(folder)
        return _row(folder, name)
    except JdsrError as fault:
        note = fault.what
    except Exception as fault:  # a folder that anybody may have written stops no other
        note = unexpected(fault)
    return IndexRow(name, None, "", "", "", "", "", "", shown(note))


def _row(folder: Path, name: str) -> IndexRow:
    result = ResultFolder(folder)
    run, counts = describe_run(result), table(result.manifest, "counts")
    has_report = result.link(REPORT) is not None
    address = f"./{quote(os.fsencode(folder.name))}/{REPORT}" if has_report else None
    notes = [f"{counted(len(run.unread), 'part')} of the input not read"] if run.unread else []
    notes += [] if has_report else ["no report yet"]
    return IndexRow(
        name=name,
        link=address,
        input=run.name,
        duration="" if run.duration is None else clock(run.duration),
        persons=_count(whole(counts, "tracks")),
        restored=_count(whole(counts, "faces_restored")),
        refused=_count(whole(counts, "faces_refused")),
        created=run.created,
        note="; ".join(notes),
    )


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
