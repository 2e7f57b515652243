"""Random damage to the files that an interrupted run keeps: one of many ways, file by file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mutations import DAMAGE
from numpy.random import Generator

Way = Callable[[Path, Path, Generator], None]
"""Damages a file; the second path is another file of the run."""


def _flip(path: Path, _: Path, rng: Generator) -> None:
    data = bytearray(path.read_bytes())
    for position in rng.integers(0, len(data), rng.integers(1, 4)) if data else ():
        data[position] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


def _mutate(path: Path, _: Path, rng: Generator) -> None:
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    if len(data):
        path.write_bytes(DAMAGE[rng.integers(len(DAMAGE))](data, rng).tobytes())


def _truncate(path: Path, _: Path, rng: Generator) -> None:
    os.truncate(path, int(rng.integers(0, max(1, path.stat().st_size))))


def _empty(path: Path, _: Path, __: Generator) -> None:
    path.write_bytes(b"")


def _zero(path: Path, _: Path, __: Generator) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _delete(path: Path, _: Path, __: Generator) -> None:
    path.unlink()


def _swap(path: Path, other: Path, __: Generator) -> None:
    ours, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(ours)


def _overwrite(path: Path, other: Path, __: Generator) -> None:
    path.write_bytes(other.read_bytes())


def _duplicate_lines(path: Path, _: Path, rng: Generator) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        first, place = (int(one) for one in rng.integers(0, len(lines), 2))
        lines.insert(place, lines[first])
    path.write_bytes(b"".join(lines))


def _exchange_lines(path: Path, _: Path, rng: Generator) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        first, second = (int(one) for one in rng.integers(0, len(lines), 2))
        lines[first], lines[second] = lines[second], lines[first]
    path.write_bytes(b"".join(lines))


def _append(path: Path, other: Path, rng: Generator) -> None:
    more = other.read_bytes() if rng.random() < 0.5 else rng.bytes(int(rng.integers(1, 400)))
    with path.open("ab") as file:
        file.write(more)


def _put_folder(path: Path, _: Path, rng: Generator) -> None:
    path.unlink()
    path.mkdir()
    if rng.random() < 0.5:
        (path / "content").write_bytes(b"1")


def _put_link(path: Path, other: Path, rng: Generator) -> None:
    content = path.read_bytes()
    path.unlink()
    if rng.random() < 0.5:
        path.symlink_to(other)
        return
    # Outside of the results, and with the same content.
    hidden = next(one for one in path.parents if one.name.endswith(".partial"))
    outside = hidden.parents[1] / f"{path.name}.moved"
    outside.write_bytes(content)
    path.symlink_to(outside)


def _put_pipe(path: Path, _: Path, __: Generator) -> None:
    path.unlink()
    os.mkfifo(path)


def _rename(path: Path, _: Path, __: Generator) -> None:
    path.rename(path.with_name(f"x{path.name}"))


def _add(path: Path, _: Path, __: Generator) -> None:
    shutil.copy(path, path.with_name(f"{path.stem}_1{path.suffix}"))


WAYS: dict[str, Way] = {
    "flip bits": _flip,
    "mutate": _mutate,
    "truncate": _truncate,
    "empty": _empty,
    "zero": _zero,
    "delete": _delete,
    "swap": _swap,
    "overwrite": _overwrite,
    "duplicate lines": _duplicate_lines,
    "exchange lines": _exchange_lines,
    "append": _append,
    "folder": _put_folder,
    "link": _put_link,
    "pipe": _put_pipe,
    "rename": _rename,
    "add": _add,
}


def damage_once(files: list[Path], rng: Generator) -> str:
    """Damage one file; return how and which.

    Kinds of files are chosen with equal chances, whatever their number.

    Args:
        files: Files of an interrupted run.
        rng: Source of the choice.

    """
    usable = [path for path in files if path.is_file() and not path.is_symlink()]
    if not usable:
        return "nothing"
    kinds = sorted({kind_of(path) for path in usable})
    kind = kinds[rng.integers(len(kinds))]
    alike = [path for path in usable if kind_of(path) == kind]
    path = alike[rng.integers(len(alike))]
    # Files of the same kind are the hardest to tell apart.
    others = [one for one in (alike if rng.random() < 0.7 else usable) if one != path] or usable
    other = others[rng.integers(len(others))]
    way = list(WAYS)[rng.integers(len(WAYS))]
    WAYS[way](path, other, rng)
    return f"{way} {path.name}" + (f" ({other.name})" if way in ("swap", "overwrite") else "")


def kind_of(path: Path) -> str:
    """Return the kind of a file: its folder and what its name ends with."""
    return f"{path.parent.name}/{path.name.partition('.')[2] or path.name}"
