"""Where results go: one folder for each input, which appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jdsr_cli.errors import JdsrError, OutputError

MANIFEST = "manifest.json"
RECORDS = "faces.jsonl"


def prepare_folder(out: Path) -> Path:
    """Make `out` with its parents and prove that files can be written in it.

    Raises:
        OutputError: It cannot be made, is not a folder, or is read-only or full.

    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(b"jdsr")
            probe.flush()
    except OSError as fault:
        raise OutputError(
            f"nothing can be written here ({fault.strerror or fault})",
            where=out,
            hint="Choose another folder with --out, or free the disk.",
        ) from fault
    return out


def name_outputs(paths: Sequence[Path]) -> list[str]:
    """Give each input the stem of its name, with -2, -3, ... where a stem comes again.

    Names that differ in case only count as the same, as they are on some file systems.
    """
    taken: set[str] = set()
    names: list[str] = []
    for path in paths:
        stem = path.stem.lstrip(".") or "input"
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


@contextmanager
def whole_folder(out: Path, name: str, source: Path, *, force: bool) -> Iterator[Path]:
    """Lend a hidden folder in `out` that takes the name `name` when the block ends well.

    Where the block raises, KeyboardInterrupt included, nothing of it is left.

    Args:
        out: Folder that exists.
        name: Final name.
        source: The input, which is never to be replaced.
        force: Replace an earlier result of that name.

    Raises:
        OutputError: The name is taken, or the disk is full.

    """
    final = out / name
    _refuse_taken(final, source, force=force)
    partial = out / f".{name}.partial"
    try:
        _discard(partial)
        partial.mkdir()
        yield partial
        _publish(partial, final)
    except JdsrError:
        raise
    except OSError as fault:
        raise OutputError(
            f"writing failed ({fault.strerror or fault})",
            where=final,
            hint="Free the disk or choose another folder with --out.",
        ) from fault
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _refuse_taken(final: Path, source: Path, *, force: bool) -> None:
    if not final.exists() and not final.is_symlink():
        return
    if not (final.is_dir() and (final / MANIFEST).is_file()):
        raise OutputError(
            "something that is not a result of jdsr has this name already",
            where=final,
            hint="Choose another folder with --out.",
        )
    if _inside(source, final):
        raise OutputError(
            "the input lies in the folder of results that would be replaced",
            where=final,
            hint="Choose another folder with --out.",
        )
    if not force:
        raise OutputError(
            "an earlier result is here already",
            where=final,
            hint="Add --force to replace it, or choose another folder with --out.",
        )


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _discard(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _publish(partial: Path, final: Path) -> None:
    if not final.exists():
        partial.rename(final)
        return
    old = final.with_name(f".{final.name}.old")
    _discard(old)
    final.rename(old)
    partial.rename(final)
    _discard(old)
