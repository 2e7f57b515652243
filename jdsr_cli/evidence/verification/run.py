"""The verification of folders: which results they hold, and what each check finds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path

from jdsr_cli.atomic import HIDDEN_FOLDER
from jdsr_cli.errors import InputError, InputMissingError, InputUnreadableError, JdsrError
from jdsr_cli.evidence.manifest import MANIFEST, SCHEMA_VERSION
from jdsr_cli.evidence.sums import SUMS
from jdsr_cli.evidence.verification.counts import check_counts
from jdsr_cli.evidence.verification.files import (
    check_entries,
    check_files,
    check_left_out,
    check_sums_form,
)
from jdsr_cli.evidence.verification.findings import Finding, Verification, VerifiedResult
from jdsr_cli.evidence.verification.frames import check_frames
from jdsr_cli.evidence.verification.origins import RecordedSources, check_input, check_weights
from jdsr_cli.evidence.verification.records import check_manifest, check_records
from jdsr_cli.evidence.verification.signatures import signature_check
from jdsr_cli.evidence.verification.stored_result import MARKS, StoredResult, shown
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.restoration.workspace import HIDDEN_NAME

Check = Callable[[StoredResult], Iterable[Finding]]
CHECKS: tuple[Check, ...] = (
    check_entries,
    check_manifest,
    check_sums_form,
    check_left_out,
    check_files,
    check_records,
    check_counts,
    check_input,
    check_weights,
)
"""What is checked in every result, in the order of the findings."""


def verify(
    folders: Sequence[str | Path],
    *,
    frames: bool = False,
    trust: Path | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Compare results with what was recorded when they were made.

    The hashes of all files are computed again and compared with `SHA256SUMS`, the manifest and the
    records; the records are validated against their JSON schemas, and counted anew; the input is
    compared with its hash where it is still at its place; content credentials are verified offline.
    Nothing is changed, and of a folder only regular files in it are read.

    Args:
        folders: Folders of results, or folders that contain them.
        frames: Whether the frames of videos are decoded and compared with their hashes as well.
        trust: PEM file with the certificates of trusted issuers of content credentials; default:
            none is trusted, and valid signatures are called so.
        progress: Receives the progress.

    Returns:
        What was found in each result, in the order of the folders; by name within one.

    Raises:
        UsageError: The trust list cannot be used.

    Examples:
        >>> from pathlib import Path
        >>> from jdsr_cli import CropSettings, crop_faces, verify
        >>> _ = crop_faces(["photo.png"], "crops", CropSettings(device="cpu"))
        >>> _ = Path("crops/photo/faces.csv").write_text("altered")
        >>> verification = verify(["crops"])
        >>> verification.exit_code, verification.results[0].problems[0].file
        (7, 'faces.csv')

    """
    checks = (*CHECKS, signature_check(trust), *((check_frames,) if frames else ()))
    progress = progress or Silent()
    sources, results = RecordedSources(), list[VerifiedResult]()
    for folder in folders:
        results += _verify_folder(Path(folder), checks, sources, progress)
    return Verification(tuple(results))


def results_in(folder: Path) -> list[Path]:
    """Return the folder itself if it is a result, otherwise the results that it contains.

    Raises:
        InputMissingError: There is no such folder.
        InputUnreadableError: It cannot be listed.
        InputError: It is no result, nor does it contain one.

    """
    names = _names_in(folder)
    if any(mark in names for mark in MARKS):
        return [folder]
    found = [folder / name for name in names if not name.startswith(".")]
    found = [path for path in found if _is_result(path)]
    if not found:
        raise InputError(
            "is not a result of jdsr, nor does it contain one",
            where=folder,
            hint="Give the folder that holds manifest.json, or the folder given with --out.",
        )
    return found


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names that are no text as well
    except FileNotFoundError as fault:
        raise InputMissingError("no such folder", where=folder, hint="Check the path.") from fault
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise InputUnreadableError(
            f"cannot be listed ({reason})", where=folder, hint="Give the folder of a result."
        ) from fault


def _is_result(path: Path) -> bool:
    """Whether a path is a folder, no link, with a file of a result in it."""
    try:
        return (
            not path.is_symlink()
            and path.is_dir()
            and any(os.path.lexists(path / mark) for mark in MARKS)
        )
    except OSError:
        return False


def _verify_folder(
    folder: Path, checks: Sequence[Check], sources: RecordedSources, progress: Progress
) -> Iterator[VerifiedResult]:
    try:
        results = results_in(folder)
    except JdsrError as fault:
        yield VerifiedResult(folder, error=fault)
        return
    if results != [folder]:
        findings = tuple(_check_collection(folder, {path.name for path in results}, sources))
        if findings:
            yield VerifiedResult(folder, findings=findings, is_collection=True)
    progress.begin("results", len(results))
    try:
        for path in results:
            yield _verify_result(path, checks, sources, progress)
            progress.advance("results")
    finally:
        progress.end("results")


def _check_collection(out: Path, results: Set[str], sources: RecordedSources) -> Iterator[Finding]:
    """Name what is in a folder of results beside finished ones, and what is missing there."""
    names = _names_in(out)
    start, end = HIDDEN_NAME.split("{}")
    unfinished = {
        name[len(start) : -len(end)]
        for name in names
        if name.startswith(start) and name.endswith(end)
    }
    for name in sorted(unfinished):
        yield Finding("note", shown(name), "is unfinished; continue with --resume")
    for name in names:
        path = out / name
        if path.is_symlink():
            yield Finding("problem", shown(name), "is a link, which was not followed")
        elif path.is_dir() and not name.startswith(".") and name not in results:
            yield Finding("note", shown(name), "is a folder without any file of a result")
    if HIDDEN_FOLDER not in names or (out / HIDDEN_FOLDER).is_symlink():
        return
    for name in sorted(sources.in_folder(out).keys() - set(names) - unfinished):
        what = "has no result here: its input failed, or the result was removed"
        yield Finding("note", shown(name), what)


def _verify_result(
    folder: Path, checks: Sequence[Check], sources: RecordedSources, progress: Progress
) -> VerifiedResult:
    try:
        result = StoredResult(folder, progress, sources.of(folder))
        version = result.schema_version
        if type(version) is int and version > SCHEMA_VERSION and not _manifest_was_changed(result):
            raise InputError(
                f"was written by a newer jdsr (schema_version {version}; this one reads up to "
                f"{SCHEMA_VERSION})",
                where=folder / MANIFEST,
                hint="Verify it with that version.",
            )
        findings = tuple(finding for check in checks for finding in check(result))
        return VerifiedResult(folder, len(result.digests), findings, len(result.left_out))
    except JdsrError as fault:
        return VerifiedResult(folder, error=fault)
    except OSError as fault:
        reason = f"cannot be read ({fault.strerror or fault})"
        return VerifiedResult(folder, error=InputUnreadableError(reason, where=folder))


def _manifest_was_changed(result: StoredResult) -> bool:
    """Whether `SHA256SUMS` lists a manifest with another hash, so that its version is in doubt."""
    stated = {one.sha256 for _, one in result.sums if one is not None and one.file == MANIFEST}
    found = result.digests.get(MANIFEST)
    return SUMS in result.sizes and found is not None and found.sha256 not in stated
