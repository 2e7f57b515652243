"""`report.html`: one self-contained page about a result."""

from __future__ import annotations

from pathlib import Path

from jdsr_cli.atomic import atomic_file
from jdsr_cli.evidence import MANIFEST, REPORT
from jdsr_cli.evidence.sums import SUMS
from jdsr_cli.reporting.folder import ResultFolder
from jdsr_cli.reporting.persons import ReportedPerson, describe_person
from jdsr_cli.reporting.pictures import PictureReader, allowance, first_detail
from jdsr_cli.reporting.provenance import Provenance, describe_run
from jdsr_cli.reporting.quality import COMPONENTS
from jdsr_cli.reporting.selection import (
    FACES,
    MAX_PERSONS,
    TRACKS,
    gather_facts,
    select_tracks,
)
from jdsr_cli.reporting.templating import render
from jdsr_cli.reporting.wording import REFUSALS, STATES, UNKNOWN_REFUSAL


def write_report(folder: Path) -> Path:
    """Write `report.html` into the folder of a result, from what is there.

    The same folder gives the same bytes. Pictures take at most 3.2 MB; up to 200 persons are shown
    with pictures, the others in a table with links.

    Args:
        folder: A finished result of `restore`.

    Returns:
        The file.

    Raises:
        InputError: It is no result of `restore`, of a newer version, or its manifest is damaged.
        OutputError: The report cannot be written.

    """
    page = render_report(ResultFolder(folder))
    path = folder / REPORT
    with atomic_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def render_report(result: ResultFolder) -> str:
    """Return the page about a result."""
    selection, run = select_tracks(result, MAX_PERSONS), describe_run(result)
    facts = gather_facts(result, selection.shown)
    altered = result.altered_records()
    reader, count = PictureReader(result), len(selection.shown)
    persons = []
    for position, track in enumerate(selection.shown, 1):
        person = describe_person(track, facts[track["track"]], reader, f"p{position}", run.part)
        person.encode(first_detail(count), allowance(count))
        persons.append(person)
    return render(
        "report.html.j2",
        run=run,
        persons=[one for one in persons if one.restored],
        unrestored=[one for one in persons if not one.restored],
        selection=selection,
        links={row.file: result.link(row.file) for row in selection.rows if row.file},
        scale=_scale(run, persons),
        altered=altered,
        unread_tracks=TRACKS in altered,
        components=COMPONENTS,
        refusals=REFUSALS,
        unknown_refusal=UNKNOWN_REFUSAL,
        states=STATES,
        limit=MAX_PERSONS,
        manifest_sha256=result.manifest_sha256,
        files=_files(result),
    )


def _scale(run: Provenance, persons: list[ReportedPerson]) -> tuple[float, float] | None:
    """Return start and end of the time lines in seconds, None where there is no length."""
    starts = [one.first_seconds for one in persons if one.first_seconds is not None]
    ends = [one.last_seconds for one in persons if one.last_seconds is not None]
    if not starts or not ends:
        return None
    start = min(0.0, *starts) if min(starts) < (run.duration or 0.0) else min(starts)
    end = max(start + (run.duration or 0.0), *ends)
    return (start, end) if end > start else None


def _files(result: ResultFolder) -> list[tuple[str, str]]:
    """Return the files beside the report that are linked from its head: label and address."""
    suffixes = ("mp4", "mkv", "mov", "png")
    pictures = (("restored", "restored"), ("overlay", "overlay"), ("comparison", "compare"))
    names = (
        *(
            (f"{label} {'picture' if suffix == 'png' else 'video'}", f"{stem}.{suffix}")
            for label, stem in pictures
            for suffix in suffixes
        ),
        ("manifest", MANIFEST),
        ("record of persons", TRACKS),
        ("record of faces", FACES),
    )
    found = [(label, result.link(name)) for label, name in names]
    if "schema_version" in result.manifest:  # such results get it after the report
        found.append(("hashes of all files", f"./{SUMS}"))
    return [(label, address) for label, address in found if address is not None]
