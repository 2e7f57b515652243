"""Change one byte of each file of a result, and delete each line of its records, in turn.

    python tests/benchmarks/flip_bytes.py jdsr-out/street

A change that `jdsr verify` does not name is a failure. The result is copied first.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from repeated_clip import print_line

from jdsr_cli.evidence import write_sums
from jdsr_cli.evidence.verification import verify

RECORDS = ("faces.jsonl", "tracks.jsonl")


def positions(size: int) -> list[int]:
    """Return the first, the middle and the last byte of so many."""
    return sorted({0, size // 2, size - 1}) if size else []


def files(result: Path) -> list[Path]:
    return sorted(path for path in result.rglob("*") if path.is_file())


def flips(result: Path, masks: Iterable[int] = (1, 0x20, 0x80)) -> Iterator[tuple[str, Path]]:
    """Yield a description and the file while one of its bytes is changed."""
    for path in files(result):
        original = path.read_bytes()
        for position in positions(len(original)):
            for mask in masks:
                changed = bytearray(original)
                changed[position] ^= mask
                path.write_bytes(changed)
                yield f"byte {position} of {path.relative_to(result)} ^ {mask:#x}", path
        path.write_bytes(original)


def deletions(
    result: Path, lines: Callable[[int], Iterable[int]] = range, *, forge: bool
) -> Iterator[tuple[str, Path]]:
    """Yield a description and the file while one of its lines is missing.

    Args:
        result: The result.
        lines: Returns the lines that are deleted in turn, of a number of them.
        forge: Whether `SHA256SUMS` is written anew, as somebody who hides the deletion would.

    """
    sums = result / "SHA256SUMS"
    listed = sums.read_bytes()
    for name in RECORDS:
        path = result / name
        original = path.read_bytes()
        whole = original.splitlines(keepends=True)
        for number in lines(len(whole)):
            path.write_bytes(b"".join(whole[:number] + whole[number + 1 :]))
            if forge:
                write_sums(result)
            yield f"line {number + 1} of {name}{', sums forged' if forge else ''}", path
            sums.write_bytes(listed)
        path.write_bytes(original)


def is_named(result: Path, path: Path) -> bool:
    """Whether the verification names a file in a problem."""
    name = path.relative_to(result).as_posix()
    (verified,) = verify([result]).results
    return any(name in str(problem) for problem in verified.problems)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    given = parser.parse_args().result
    tried, unnamed = 0, []
    with tempfile.TemporaryDirectory() as folder:
        result = Path(shutil.copytree(given, Path(folder) / given.name))
        (verified,) = verify([result]).results
        if not verified.as_recorded:
            raise SystemExit(f"not as recorded before any change: {verified.problems}")
        for cases in (
            flips(result),
            deletions(result, forge=False),
            deletions(result, forge=True),
        ):
            for case, path in cases:
                tried += 1
                if not is_named(result, path):
                    unnamed.append(case)
    print_line(f"{tried} changes, {len(unnamed)} not named")
    for case in unnamed:
        print_line(case)
    raise SystemExit(1 if unnamed else 0)


if __name__ == "__main__":
    main()
