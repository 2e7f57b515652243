"""Folders of numbered pictures whose numbers say which frames correspond."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from jdsr_cli.errors import UsageError
from jdsr_cli.media.folders import is_media_name
from jdsr_cli.media.inputs import is_sequence, numbered_files

_NUMBERED = re.compile(r"(.*?)([0-9]+)(\D*)")


def frames_path(path: Path) -> Path:
    """Return what the reader opens: a file, or for a folder the pattern of its numbered pictures.

    Raises:
        UsageError: The pictures of the folder are not one numbered sequence.

    """
    if not path.is_dir():
        return path
    names = sorted(entry.name for entry in path.iterdir() if is_media_name(entry))
    parts = [_NUMBERED.fullmatch(name) for name in names]
    found = [part.groups() for part in parts if part is not None]
    width = min((len(digits) for _, digits, _ in found), default=0)
    if (
        not found
        or len(found) < len(names)
        or len({(before, after) for before, _, after in found}) > 1
        # The pattern finds no number that is padded to another width.
        or any(digits != f"{int(digits):0{width}d}" for _, digits, _ in found)
    ):
        raise UsageError(
            "the pictures of this folder are not one numbered sequence"
            if names
            else "there are no pictures directly in this folder",
            where=path,
            hint="Give a video, or a folder of frames such as 00000000.png, 00000001.png, ...",
        )
    before, _, after = found[0]
    return path / f"{before}%0{width}d{after}"


def check_numbers(paths: Sequence[Path]) -> None:
    """Check that sequences of pictures have the same numbers, so that equal numbers correspond.

    Args:
        paths: What `frames_path` returned for each; files that are no sequence have no numbers.
            Beside such a file, whose frames are counted, no number may be left out.

    Raises:
        UsageError: A number is missing in one of the sequences; the message names the first.
        InputMissingError: A sequence has no pictures.

    """
    sequences = [path for path in paths if is_sequence(path)]
    found = {path: {one.number for one in numbered_files(path)} for path in sequences}
    if not found:
        return
    expected = set().union(*found.values())
    if len(found) < len(set(paths)):
        expected = set(range(min(expected), max(expected) + 1))
    lacking = [(sorted(expected - own), path) for path, own in found.items() if own != expected]
    if lacking:
        missing, path = min(lacking)
        others = f", nor of {len(missing) - 1} others" if len(missing) > 1 else ""
        raise UsageError(
            f"has no picture of the number {missing[0]}{others} (it has {len(found[path])} frames, "
            f"expected are {len(expected)})",
            where=path.parent,
            hint="Pictures are matched by number: the same numbers are needed in every folder, "
            "and beside a video all of them",
        )
