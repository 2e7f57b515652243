"""What tests of execution compare with: the results of one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from restoration.suite_clips import file_hashes, repeatable_manifest
from results_folder import results_in

from jdsr_cli.progress import Silent
from jdsr_cli.restoration import RunSummary, restore
from jdsr_cli.settings import ExecutionSettings, RestoreSettings


class AtFrame(Silent):
    """A progress that calls a function when a number of frames is done."""

    def __init__(self, frames: int, action: Callable[[], None]) -> None:
        self.notes: list[str] = []
        self._left = frames
        self._action = action

    def advance(self, task: str, units: int = 1) -> None:
        before, self._left = self._left, self._left - units
        if self._left <= 0 < before:
            self._action()

    def note(self, message: str) -> None:
        self.notes.append(message)


class StrictProgress(Silent):
    """A progress that is strict on tasks: each begins once, and nothing else advances or ends."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        """Units of each task, open or ended."""
        self._open: set[str] = set()

    def begin(self, task: str, total: int | None) -> None:
        assert task not in self._open
        self._open.add(task)
        self.done[task] = 0

    def advance(self, task: str, units: int = 1) -> None:
        assert task in self._open
        self.done[task] += units

    def end(self, task: str) -> None:
        self._open.remove(task)

    def check_ended(self) -> None:
        """Check that no task is open."""
        assert not self._open


@dataclass(frozen=True)
class Reference:
    """Inputs with settings, and the results of one process."""

    inputs: list[Path]
    settings: RestoreSettings
    whole: Path
    summary: RunSummary

    def assert_same(self, out: Path) -> None:
        """Check that a folder has the same results, except for the times in manifests."""
        assert results_in(out) == ["a-walk.mkv", "b-walk.mkv"]
        assert file_hashes(out) == file_hashes(self.whole)
        for name in ("a-walk.mkv", "b-walk.mkv"):
            ours, theirs = (repeatable_manifest(root / name) for root in (out, self.whole))
            for manifest in (ours, theirs):
                manifest["settings"].pop("device")
            assert ours == theirs

    def run(
        self, out: Path, execution: ExecutionSettings, progress: Silent | None = None
    ) -> RunSummary:
        """Restore the inputs into another folder."""
        return restore(self.inputs, out, self.settings, progress, execution)
