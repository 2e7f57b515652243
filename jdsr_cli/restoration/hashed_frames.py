"""The hashes of the decoded frames of an input and of its restored video, as files of a result.

The frames of the input are hashed by another process while the pipeline runs, those of the restored
video after it is complete. Both files are computed anew when an interrupted run is resumed.
"""

from __future__ import annotations

from pathlib import Path

from jdsr_cli.media import FrameHashes
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.frame import OpenInput

SUFFIX = ".framemd5"
INPUT_HASHES = f"input{SUFFIX}"
"""Name of the file of the hashes of the input's frames."""
HASHED_KINDS = ("video", "animation")
"""Kinds of inputs with more than one frame in one file."""


class HashedFrames:
    """The files of frame hashes of one input.

    Args:
        opened: The input, whose frames are hashed from now on if it is a video.
        progress: Receives the number of hashed frames.
        max_pixels: Largest number of pixels of a frame of the input.

    """

    def __init__(self, opened: OpenInput, progress: Progress, max_pixels: int) -> None:
        self._state = opened.state
        self._folder = opened.workspace.results
        self._progress = progress
        self._input: FrameHashes | None = None
        self.files: list[Path] = []
        """The files that were written."""
        self.notes: list[str] = []
        """Why a file was not written, or what it does not list."""
        if opened.info.kind in HASHED_KINDS:
            target = self._folder / INPUT_HASHES
            self._input = FrameHashes(opened.state.source, target, opened.info.stream, max_pixels)
            opened.state.resources.callback(self._input.stop)

    def unfinished(self, path: Path) -> bool:
        """Whether a file in the folder of results is that of the hashes that are being written."""
        is_hidden = path.name.startswith(f".{Path(INPUT_HASHES).stem}.")
        return path.parent == self._folder and (
            path.name == INPUT_HASHES or (is_hidden and path.name.endswith(SUFFIX))
        )

    def finish(self, restored: Path | None, frames: int) -> None:
        """Wait for the hashes of the input, and hash the frames of the restored video.

        Args:
            restored: The restored video, None if there is none.
            frames: Number of its frames.

        Raises:
            OutputError: A file cannot be written.

        """
        if self._input is not None:
            self._wait(self._input, self._folder / INPUT_HASHES, None)
        if restored is not None:
            target = restored.with_suffix(SUFFIX)
            hashes = FrameHashes(restored, target)
            self._state.resources.callback(hashes.stop)
            self._wait(hashes, target, frames)

    def _wait(self, hashes: FrameHashes, target: Path, total: int | None) -> None:
        task = f"{self._state.source.name}: {target.name}"
        self._progress.begin(task, total)
        try:
            reason = hashes.wait(lambda frames: self._progress.advance(task, frames))
        finally:
            self._progress.end(task)
        if reason is None:
            self.files.append(target)
        else:
            self.notes.append(
                f"{not_written(target.name)}: ffmpeg could not decode the video ({reason})"
            )


def not_written(name: str) -> str:
    """Return the start of the note on a file of hashes that was not written."""
    return f"{name} was not written"
