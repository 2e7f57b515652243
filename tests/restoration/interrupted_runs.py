"""A run that was killed after its third segment, for tests that damage what it has kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from killed_run import Settings, run_until_killed
from suite_clips import WALK, file_hashes, repeatable_manifest

from jdsr_cli.restoration import crop_faces, restore
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.summary import InputResult
from jdsr_cli.settings import CropSettings, RestoreSettings

SEGMENT = 8
DONE = 3 * SEGMENT
"""Frames in the three finished segments of the killed run."""
POINT = "after the last whole segment"


def flip(data: bytes, at: int = -1) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit in the middle": lambda data: flip(data, len(data) // 2),
    "the first byte": lambda data: flip(data, 0),
    "the last byte": flip,
    "zeros": lambda data: bytes(len(data)),
    "a zeroed part": lambda data: data[: len(data) // 3] + bytes(40) + data[len(data) // 3 + 40 :],
    "cut off": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "empty": lambda data: b"",
}


def process(clip: Path, out: Path, settings: Settings) -> InputResult:
    """Run the command that has such settings."""
    if isinstance(settings, RestoreSettings):
        (result,) = restore([clip], out, settings).results
    else:
        assert isinstance(settings, CropSettings)
        (result,) = crop_faces([clip], out, settings).results
    return result


class Interrupted:
    """A killed run of the clip `walk`, and what it would have given.

    Args:
        clip: The clip.
        folder: Empty folder.
        settings: Of the run, with segments of 8 frames.

    """

    def __init__(self, clip: Path, folder: Path, settings: Settings) -> None:
        self.clip, self.settings = clip, settings
        whole = process(clip, folder / "whole", settings).output
        assert whole is not None
        self.whole = whole
        self.out = folder / "out"
        run_until_killed(POINT, clip, self.out, settings)

    def copy(self, out: Path) -> Path:
        """Copy the interrupted run; return the hidden folder."""
        shutil.copytree(self.out, out, dirs_exist_ok=True)
        return out / f".{self.clip.stem}.partial"

    def resume(self, out: Path) -> str:
        """Resume a copy, which must give the whole results; return the notes."""
        result = process(self.clip, out, replace(self.settings, resume=True))
        assert result.error is None
        self.assert_whole(result)
        return "\n".join(result.notes)

    def assert_whole(self, result: InputResult) -> None:
        """Check that a result is that of the uninterrupted run, without a further file."""
        assert result.output is not None
        assert file_hashes(result.output) == file_hashes(self.whole)
        assert not any(path.is_symlink() for path in result.output.rglob("*"))
        stated, expected = (repeatable_manifest(one) for one in (result.output, self.whole))
        for one in (stated, expected):
            del one["notes"]
        assert stated == expected
        assert result.counts is not None
        assert result.counts.frames_read == WALK


def journals(hidden: Path) -> list[Path]:
    """Return both copies of the journal."""
    return [hidden / "work" / name for name in Journal.NAMES]
