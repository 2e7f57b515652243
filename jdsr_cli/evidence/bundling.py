"""A ZIP file with results, and what is needed to check them and to make them again.

The bytes follow from the results alone: names in order, one time, one permission, one level of
compression. Sources: PKWARE's APPNOTE.TXT 6.3.10, and https://reproducible-builds.org/docs/archives
for what varies between archives of the same files.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import NotAsRecordedError, OutputError, UsageError
from jdsr_cli.evidence.manifest import CHUNK
from jdsr_cli.evidence.reproduction import describe_reproduction
from jdsr_cli.evidence.verification import StoredResult, VerifiedResult, results_in, verify
from jdsr_cli.evidence.verification.stored_result import LEFT_OUT, VIDEO_SUFFIXES, is_video
from jdsr_cli.file_names import as_text
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.weights.locations import find_file

REPRODUCE = "REPRODUCE.txt"
MODEL_CARD = "MODEL_CARD.md"
_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that ZIP can state; the times of the result are in its manifest."""
_PERMISSIONS = 0o100644 << 16
_UNIX = 3
"""Code of the system whose permissions are stated."""
_LEVEL = 6
_COMPRESSED = (".png", ".jpg", *VIDEO_SUFFIXES)
"""Suffixes of files that are stored as they are."""
_INTRODUCTION = """\
Results of jdsr, and how they are checked and made again.

Check     In the folder of a result: sha256sum -c SHA256SUMS
          {left_out}
          Or, with jdsr: jdsr verify FOLDER
Again     Install jdsr and the packages in the versions below, put the input into an empty folder,
          compare its SHA-256, and run the command there. On the same kind of device all files but
          manifest.json, report.html and SHA256SUMS, which hold times, get the same SHA-256 where
          docs/guide/trust.md says so.
"""
_ALL = "All files that it lists are here."
_LEFT_OUT = (
    "Videos were left out of this bundle; LEFT_OUT.sums in each folder lists them with their\n"
    "          hashes. Add --ignore-missing; jdsr verify names them."
)


def bundle(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    media: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Put results into one ZIP file, each in a folder of its name.

    It holds records, hashes, report and pictures of each result, the model card of the weights, and
    `REPRODUCE.txt` with the command that makes each result again. Two bundles of the same results
    by one version of jdsr have the same bytes. The file appears when it is complete.

    Args:
        folders: Folders of results, or folders that contain them.
        out: The ZIP file, which must not exist.
        media: Whether videos are included.
        progress: Receives the progress.

    Returns:
        The ZIP file.

    Raises:
        InputError: A folder is no result, or cannot be read.
        NotAsRecordedError: A result is not as recorded; the message names the file.
        OutputError: The file exists, or cannot be written.
        UsageError: Two results have the same name, or the file is to lie in a result.

    Examples:
        >>> import zipfile
        >>> from jdsr_cli import CropSettings, bundle, crop_faces
        >>> _ = crop_faces(["photo.png"], "crops", CropSettings(device="cpu"))
        >>> file = bundle(["crops/photo"], "case.zip")
        >>> "photo/manifest.json" in zipfile.ZipFile(file).namelist()
        True

    """
    progress, target = progress or Silent(), Path(out)
    results = [path.absolute() for folder in folders for path in results_in(Path(folder))]
    names = _names(results)
    _check_target(target, results)
    for one in verify(results, progress=progress).results:
        _require_recorded(one)
    stored = [StoredResult(path, progress) for path in results]
    with (
        atomic_file(target, replace=False) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive,
    ):
        left_out = 0
        for name, result in sorted(zip(names, stored, strict=True), key=lambda pair: pair[0]):
            kept = [file for file in sorted(result.sizes) if media or not is_video(file)]
            kept = [file for file in kept if file != LEFT_OUT]
            gone = sorted(result.left_out | (result.sizes.keys() - {*kept, LEFT_OUT}))
            left_out += len(gone)
            _add_files(archive, name, result, kept)
            if gone:
                listed = _left_out_sums(result, gone)
                archive.writestr(_entry(f"{name}/{LEFT_OUT}", len(listed)), listed)
        texts = {REPRODUCE: "\n".join(_reproduction(names, stored, left_out)).encode() + b"\n"}
        card = find_file(MODEL_CARD)
        if card is not None and any(result.manifest.get("weights") for result in stored):
            texts[MODEL_CARD] = card.read_bytes()
        for name, text in sorted(texts.items()):
            archive.writestr(_entry(name, len(text)), text)
    return target


def _names(results: Sequence[Path]) -> list[str]:
    """Return the folders of the results in the bundle."""
    names = [as_text(path.resolve().name) for path in results]
    count = Counter(names)
    for name in names:
        if count[name] > 1:
            same = [str(path) for path, one in zip(results, names, strict=True) if one == name]
            raise UsageError(
                f"{same[0]} and {same[1]} have the same name in a bundle",
                hint="Bundle them one by one, or rename a folder.",
            )
    if {REPRODUCE, MODEL_CARD} & set(names):
        raise UsageError(f"a result cannot be called {REPRODUCE} or {MODEL_CARD} in a bundle")
    return names


def _check_target(target: Path, results: Sequence[Path]) -> None:
    if target.exists() or target.is_symlink():
        raise OutputError(
            "a file has this name already",
            where=target,
            hint="Remove it, or choose another name with --out.",
        )
    for path in results:
        if target.resolve().is_relative_to(path.resolve()):
            raise UsageError(
                f"the bundle would become a part of the result {path}",
                where="--out",
                hint="Choose a file outside of it.",
            )


def _require_recorded(verified: VerifiedResult) -> None:
    """Raise what is wrong with a result."""
    if verified.error is not None:
        raise verified.error
    if verified.problems:
        first, more = verified.problems[0], len(verified.problems) - 1
        others = f" (and {more} more)" if more else ""
        raise NotAsRecordedError(
            f"is not as recorded: {first}{others}",
            where=verified.folder,
            hint="Run `jdsr verify` to see all; only results as they were made are bundled.",
        )


def _add_files(
    archive: zipfile.ZipFile, folder: str, result: StoredResult, names: Sequence[str]
) -> None:
    """Add files of a result, with the bytes that were verified."""
    verified = {one.file: one.sha256 for _, one in result.sums if one is not None}
    task = f"{folder}: bundle (files)"
    result.progress.begin(task, len(names))
    try:
        for name in names:
            digest = hashlib.sha256()
            entry = _entry(f"{folder}/{as_text(name)}", result.sizes[name])
            with result.open(name) as source, archive.open(entry, "w") as target:
                while block := source.read(CHUNK):
                    digest.update(block)
                    target.write(block)
            if verified.get(name) not in (None, digest.hexdigest()):
                raise NotAsRecordedError(
                    f"{name} changed while it was bundled",
                    where=result.folder,
                    hint="Wait until nothing writes it.",
                )
            result.progress.advance(task)
    finally:
        result.progress.end(task)


def _left_out_sums(result: StoredResult, names: Sequence[str]) -> bytes:
    """Return the lines on recorded files that are not in the bundle."""
    hashes = {one.file: one for one in result.recorded_sums}
    return "".join(f"{hashes[name]}\n" for name in names).encode("utf-8", "surrogateescape")


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    """Return the header of a file, which states nothing that varies."""
    entry = zipfile.ZipInfo(name, _TIME)
    entry.create_system, entry.external_attr = _UNIX, _PERMISSIONS
    entry.file_size = size
    packed = PurePosixPath(name).suffix in _COMPRESSED
    entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    return entry


def _reproduction(
    names: Sequence[str], stored: Sequence[StoredResult], left_out: int
) -> Iterator[str]:
    yield _INTRODUCTION.format(left_out=_LEFT_OUT if left_out else _ALL)
    for name, result in sorted(zip(names, stored, strict=True), key=lambda pair: pair[0]):
        yield from describe_reproduction(name, result.manifest)
        yield ""
