"""The folder in which the results of one input grow.

`.NAME.partial/results` becomes `NAME` when it is complete; `.NAME.partial/work` holds the journal
and the files of finished segments. An interrupted run leaves the hidden folder for `--resume`,
unless no segment was finished.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from jdsr_cli.atomic import clear_partials, output_error
from jdsr_cli.errors import OutputError
from jdsr_cli.evidence import MANIFEST, read_manifest
from jdsr_cli.restoration.finished_result import damaged_files
from jdsr_cli.restoration.journal import Journal, Request

HIDDEN_NAME = ".{}.partial"
"""Name of the hidden folder of a result."""
WRITING = "writing"
"""Name of the file in the folder of the work that exists while a process writes the results. It
holds a random token of the run, which stays if another process continues it."""
SHARED = (".faces", ".npz")
"""Ends of the names of files that processes which only assist may be writing."""
STATE = ".state.npz"
"""End of the names of the snapshots at the ends of finished segments."""
KEPT_SNAPSHOTS = 8
"""Latest segments whose snapshots all stay; of those before, every second one of as many again,
then every fourth, and so on."""
REQUEST = "request"
"""Key of the manifest that holds the digest of the request."""


class Workspace:
    """The folder of one input's results, from the first frame to publication.

    Args:
        out: Folder that exists.
        name: Name of the results in it.
        source: The input, which is never replaced.

    """

    def __init__(self, out: Path, name: str, source: Path) -> None:
        self.final = out / name
        self._hidden = out / HIDDEN_NAME.format(name)
        self._source = source
        self._journal: Journal | None = None
        self.damage: str | None = None
        """Sentence on what of the interrupted run is damaged, since `open`."""

    @property
    def results(self) -> Path:
        """Folder that will take the final name."""
        return self._hidden / "results"

    @property
    def work(self) -> Path:
        """Folder of the journal and the segments."""
        return self._hidden / "work"

    @property
    def journal(self) -> Journal:
        """The journal of the run, between `open` and `close` or `publish`."""
        assert self._journal is not None, "the workspace is not open"
        return self._journal

    @property
    def finished_segments(self) -> int:
        """Number of finished segments of a run that this process writes, otherwise 0."""
        return 0 if self._journal is None else len(self._journal.segments)

    def segment_file(self, number: int, suffix: str) -> Path:
        """Return the path of a file of segment `number` (from 0)."""
        return self.work / f"{number:06d}{suffix}"

    def snapshot_file(self, number: int) -> Path:
        """Return the path of the snapshot at the end of segment `number`."""
        return self.segment_file(number, STATE)

    def drop_snapshots(self, last: int) -> None:
        """Remove snapshots that need not stay beside that of segment `last`, the latest one.

        A damaged segment makes a run fall back to the snapshot before it. All of the latest
        segments stay, and of earlier ones the fewer the earlier they are.
        """
        for number in self._snapshots():
            segments = number + 1
            spacing = segments & -segments
            if number > last or last - number >= KEPT_SNAPSHOTS * spacing:
                self.snapshot_file(number).unlink(missing_ok=True)

    def _snapshots(self) -> list[int]:
        """Return the segments whose snapshots are there."""
        names = [name.partition(".")[0] for name, _ in self._files(STATE)]
        return [int(name) for name in names if name.isdigit()]

    def writing_token(self) -> str | None:
        """Return the token of the run that writes the results, also if its process was lost.

        None if no run does.
        """
        try:
            return (self.work / WRITING).read_text() or None
        except (OSError, UnicodeError):
            return None

    def end_writing(self) -> None:
        """Tell processes that assist that nobody writes the results any more."""
        with suppress(OSError):
            (self.work / WRITING).unlink()

    def written_segments(self) -> int:
        """Return the number of segments that the process that writes the results has finished."""
        return max((number + 1 for number in self._snapshots()), default=0)

    def clear_segments(self, suffix: str, end: int) -> None:
        """Remove the files of the segments before `end` that have this suffix."""
        for name in [name for name, _ in self._files(suffix)]:
            number = name.partition(".")[0]
            if number.isdigit() and int(number) < end:
                (self.work / name).unlink(missing_ok=True)

    def size_of(self, suffix: str) -> int:
        """Return the bytes of all files of segments that have this suffix."""
        return sum(size for _, size in self._files(suffix))

    def _files(self, suffix: str) -> Iterator[tuple[str, int]]:
        """Yield name and size of the files in the folder of the work that have a suffix."""
        with suppress(OSError), os.scandir(self.work) as entries:
            for entry in entries:
                if entry.name.endswith(suffix) and not entry.name.startswith("."):
                    with suppress(OSError):
                        yield entry.name, entry.stat().st_size

    def is_finished(self, request: Request) -> bool:
        """Return whether a result of the same request exists already.

        Raises:
            OutputError: It does, but files that it records are missing or have another size.

        """
        manifest = read_manifest(self.final)
        if manifest.get(REQUEST) != request.digest:
            return False
        damaged = list(damaged_files(self.final, manifest))
        if damaged:
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise OutputError(
                f"the finished result is damaged: {damaged[0]}{more}",
                where=self.final,
                hint="--force makes it again; `jdsr verify` names all that differs.",
            )
        return True

    def stated_unread(self) -> tuple[str, ...]:
        """Return what the manifest of a finished result says about bytes that were not read."""
        return tuple(read_manifest(self.final).get("unread", ()))

    def inspect(self, request: Request, *, force: bool, resume: bool) -> int | None:
        """Return the number of frames that `open` would find done; None if the result exists.

        Nothing is changed.

        Raises:
            OutputError: As `open` would.

        """
        if resume and not force and self.is_finished(request):
            return None
        self._check_final(force=force)
        if not (self.work / Journal.NAME).exists():
            return 0
        if not resume:
            if not force:
                self._refuse_interrupted(request)
            return 0
        return Journal.finished_frames(self.work, request)

    def open(self, request: Request, *, force: bool, resume: bool) -> None:
        """Start, or continue an interrupted run of the same request.

        Args:
            request: What is to be done.
            force: Replace an earlier result of the name and discard an interrupted run.
            resume: Continue an interrupted run if there is one.

        Raises:
            OutputError: The name is taken, there is an interrupted run that is not to be resumed
                or is of another request, another run is writing, or nothing can be written.

        """
        self._check_final(force=force)
        started = (self.work / Journal.NAME).exists()
        had_segments = resume and not force and bool(self._snapshots())
        if started and not resume:
            if force:
                Journal.check_unlocked(self.work)
            else:
                self._refuse_interrupted(request)
        try:
            if not (started and resume):
                _remove(self._hidden)
            self.work.mkdir(parents=True, exist_ok=True)
            self.results.mkdir(exist_ok=True)
        except OSError as fault:
            raise output_error(fault, self.final) from fault
        self._journal = Journal(self.work, request)
        self.damage = self._journal.recovered.note
        if had_segments and not self._journal.segments and self.damage is None:
            self.damage = "the journal of the interrupted run is lost: it starts from the beginning"
        try:
            clear_partials(self._hidden, SHARED)
            self._clear_misplaced()
            self.drop_snapshots(len(self._journal.segments) - 1)
            if self.writing_token() is None:
                (self.work / WRITING).write_text(secrets.token_hex(16))
        except OSError as fault:
            raise output_error(fault, self.final) from fault

    def _clear_misplaced(self) -> None:
        """Remove folders that have the name of a file, which would be in the place of it."""
        for path in list(self._hidden.rglob("*.*")):
            if path.is_dir() and not path.is_symlink():
                _remove(path)

    def publish(self) -> None:
        """Give the results their final name and remove the work.

        Raises:
            OutputError: The file system refuses.

        """
        self.end_writing()
        try:
            if self.final.exists():
                old = self._hidden / "old"
                _remove(old)
                self.final.rename(old)
            self.results.rename(self.final)
        except OSError as fault:
            raise output_error(fault, self.final) from fault
        self.journal.close()
        self._journal = None
        shutil.rmtree(self._hidden, ignore_errors=True)

    def clear(self) -> None:
        """Remove what is left of a run that was killed after it had published its results."""
        if not self.results.exists():
            shutil.rmtree(self._hidden, ignore_errors=True)

    def close(self) -> int:
        """Close a run that did not finish; return the number of frames kept for `--resume`.

        A workspace that is not open stays as it is.
        """
        if self._journal is None:
            return 0
        frames = self._journal.frames
        self.end_writing()
        self._journal.close()
        self._journal = None
        if not frames:
            shutil.rmtree(self._hidden, ignore_errors=True)
        return frames

    def _refuse_interrupted(self, request: Request) -> None:
        """Raise if finished segments would be lost."""
        Journal.check_unlocked(self.work)
        try:
            frames = Journal.finished_frames(self.work, request)
        except OutputError as fault:
            raise OutputError(
                f"an interrupted run is here ({fault.what})",
                where=self.final,
                hint="Start again with --force, or choose another folder with --out.",
            ) from fault
        if frames:
            raise OutputError(
                f"an interrupted run is here, with {frames} frames done",
                where=self.final,
                hint="Continue with --resume, or start again with --force.",
            )

    def _check_final(self, *, force: bool) -> None:
        """Raise if the final name is taken and may not be replaced."""
        final = self.final
        if not final.exists() and not final.is_symlink():
            return
        hint = "Choose another folder with --out."
        if not (final.is_dir() and (final / MANIFEST).is_file()):
            what = "something that is not a result of jdsr has this name already"
        elif self._source.resolve().is_relative_to(final.resolve()):
            what = "the input lies in the folder of results that would be replaced"
        elif not force:
            what = "an earlier result is here already"
            hint = "Add --force to replace it, or choose another folder with --out."
        else:
            return
        raise OutputError(what, where=final, hint=hint)


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
