"""The folder in which the results of one input grow.

`.NAME.partial/results` becomes `NAME` when it is complete; `.NAME.partial/work` holds the journal
and the files of finished segments. An interrupted run leaves the hidden folder for `--resume`,
unless no segment was finished, and one that ended before complete results got their name leaves it
for `--resume` as well.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from jdsr_cli.atomic import clear_partials, flush_folder, output_error
from jdsr_cli.errors import OutputError
from jdsr_cli.evidence import read_manifest
from jdsr_cli.locks import acquire_lock
from jdsr_cli.restoration.finished_result import describe_damage
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.kept_files import (
    clear_damaged,
    clear_misplaced,
    clear_unlisted,
    is_in_place_of_file,
    remove,
)
from jdsr_cli.restoration.publication import MENDING, REPLACED, RESULTS, WORK, Publication
from jdsr_cli.restoration.request import Request
from jdsr_cli.restoration.segment_files import SegmentFiles

HIDDEN_NAME = ".{}.partial"
"""Name of the hidden folder of a result."""
LOCK = "journal.lock"
"""Name of the file in the folder of the work that the run which writes the results has locked."""
WRITING = "writing"
"""Name of the file in the folder of the work that exists while a process writes the results. It
holds a random token of the run, which stays if another process continues it."""
SHARED = (".faces", ".npz")
"""Ends of the names of files that processes which only assist may be writing."""
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
        self._publication = Publication(self.final, self._hidden, source)
        self._journal: Journal | None = None
        self._lock: FileLock | None = None
        self._request: Request | None = None
        self._replaces = False
        self.segments = SegmentFiles(self.work)
        self.redone: str | None = None
        """Sentence on what of a finished result is damaged, which is made again; set by
        `is_finished`."""
        self.damage: str | None = None
        """Sentence on what of the interrupted run is damaged, since `open`."""
        self.mended: str | None = None
        """Sentence on what of the interrupted run was damaged, and done again before `open`."""

    @property
    def results(self) -> Path:
        """Folder that will take the final name."""
        return self._hidden / RESULTS

    @property
    def work(self) -> Path:
        """Folder of the journal and the segments."""
        return self._hidden / WORK

    @property
    def journal(self) -> Journal:
        """The journal of the run, between `open` and `close` or `publish`."""
        assert self._journal is not None, "the workspace is not open"
        return self._journal

    @property
    def finished_segments(self) -> int:
        """Number of finished segments of a run that this process writes, otherwise 0."""
        return 0 if self._journal is None else len(self._journal.segments)

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

    def is_finished(self, request: Request, *, hashes: bool = False) -> bool:
        """Return whether a result of the same request exists already, with all of its files.

        If one is damaged, it may be replaced, and `redone` says what is wrong with it. Files are
        compared by their sizes, or by their `hashes` as well.
        """
        self.redone = None
        manifest = read_manifest(self.final)
        if self.final.is_symlink() or manifest.get(REQUEST) != request.digest:
            return False
        self.redone = describe_damage(self.final, manifest, hashes=hashes)
        return self.redone is None

    def stated_unread(self) -> tuple[str, ...]:
        """Return what the manifest of a finished result says about bytes that were not read."""
        return tuple(read_manifest(self.final).get("unread", ()))

    def inspect(
        self, request: Request, *, force: bool, resume: bool, hashes: bool = False
    ) -> int | None:
        """Return the number of frames that `open` would find done; None if all is done.

        Nothing is changed.

        Raises:
            OutputError: As `open` would.

        """
        if resume and not force and self.is_finished(request, hashes=hashes):
            return None
        self._publication.check_hidden()
        self._publication.check_name(replaces=force or self.redone is not None)
        if resume and self._waits(request):
            return None
        if not Journal.exists(self.work):
            return 0
        self.check_unlocked()
        if not resume:
            if not force:
                self._refuse_interrupted(request)
            return 0
        return Journal.finished_frames(self.work, request)

    def _waits(self, request: Request) -> bool:
        """Whether complete results of a request wait for their final name."""
        manifest = read_manifest(self.results) if self._publication.is_complete else {}
        is_same = manifest.get(REQUEST) == request.digest
        return is_same and describe_damage(self.results, manifest, hashes=True) is None

    def publish_waiting(self, request: Request, *, force: bool) -> bool:
        """Give complete results of an interrupted run their final name; return whether there are.

        With `force` they replace an earlier result.

        Raises:
            OutputError: Something else has the name, another run is writing, or the file system
                refuses.

        """
        if not self._publication.is_complete:
            return False
        self._publication.check_hidden()
        self._lock = self._acquire()
        try:
            if not self._waits(request):
                return False
            self._publication.publish(replaces=force or self.redone is not None)
            self._discard()
        finally:
            self._end()
        return True

    def check_unlocked(self) -> None:
        """Raise `OutputError` if another run is writing this result."""
        if self.work.exists():
            self._acquire().release()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs away, outside of `open` and `close`.

        Raises:
            OutputError: Another run is writing this result.

        """
        lock = self._acquire()
        try:
            yield
        finally:
            lock.release()

    def _acquire(self) -> FileLock:
        if is_in_place_of_file(self.work / LOCK):
            with suppress(OSError):
                remove(self.work / LOCK)
        # The run is opened by one thread and closed by another.
        return acquire_lock(self.work / LOCK, self.work, "another run is writing this result")

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
        self._replaces = force or self.redone is not None
        self._publication.check_hidden()
        self._publication.check_name(replaces=self._replaces)
        self._lock = self._acquire()
        is_new = {path.name for path in self._hidden.rglob("*")} == {self.work.name, LOCK}
        try:
            self._start(request, force=force, resume=resume)
        except BaseException:
            if is_new:
                self._discard()
            else:
                self._end()
            raise

    def _start(self, request: Request, *, force: bool, resume: bool) -> None:
        """Do what `open` does, once no other run can begin, end or be discarded."""
        self._publication.put_back()
        self._publication.check_name(replaces=self._replaces)
        started = Journal.exists(self.work)
        is_lost = resume and not force and Journal.is_lost(self.work)
        if started and not resume and not force:
            self._refuse_interrupted(request)
        try:
            if not (started and resume):
                self._clear()
            clear_misplaced(self.work, self.results)
            self.results.mkdir(exist_ok=True)
            for folder in (self._hidden.parent, self._hidden, self.work):
                flush_folder(folder)
        except OSError as fault:
            raise output_error(fault, self.final) from fault
        self._journal, self._request = Journal(self.work, request), request
        self.damage = self._journal.recovered.note
        if is_lost:
            self.damage = "the journal of the interrupted run is lost: it starts from the beginning"
        try:
            clear_partials(self._hidden, SHARED)
            listed = self._journal.files()
            clear_unlisted(self.results, listed)
            clear_damaged(self.work, SHARED, listed, request.run)
            self.segments.drop_snapshots(len(self._journal.segments) - 1)
            if self.writing_token() is None:
                (self.work / WRITING).write_text(secrets.token_hex(16))
        except OSError as fault:
            raise output_error(fault, self.final) from fault

    def _clear(self) -> None:
        """Remove everything of jdsr from the hidden folder but the lock."""
        self._publication.put_back()
        for path in (self.results, self._hidden / REPLACED, self._hidden / MENDING):
            remove(path)
        for path in list(self.work.iterdir()):
            if path.name != LOCK:
                remove(path)

    def publish(self) -> None:
        """Give the results their final name and remove the work.

        Raises:
            OutputError: Something has appeared under the name that is kept, or the file system
                refuses. The results stay for `--resume`.

        """
        self.end_writing()
        self._publication.seal()
        self._publication.publish(replaces=self._replaces)
        self._discard()

    @property
    def waits_for_name(self) -> bool:
        """Whether results are complete and only lack their final name."""
        return self._publication.is_complete

    def clear(self) -> None:
        """Remove what is left of a run that was killed after it had published its results."""
        if not self._is_left():
            return
        with suppress(OutputError):
            self._lock = self._acquire()
            if self._is_left():
                self._discard()
            else:
                self._end()

    def _is_left(self) -> bool:
        """Whether the hidden folder is what such a run leaves."""
        unpublished = self.results.exists() or not self._hidden.exists()
        return self._publication.is_done or not unpublished

    def _discard(self) -> None:
        """Remove the hidden folder and end the run.

        The file of the lock is removed last, since another run may begin as soon as it is gone.
        """
        if self._journal is not None:
            self._journal.close()
        with suppress(OSError):
            self._clear()
            (self.work / LOCK).unlink(missing_ok=True)
            self.work.rmdir()
            self._hidden.rmdir()
        self._end()

    def _end(self) -> None:
        """Close the journal and release the lock."""
        if self._journal is not None:
            self._journal.close()
        self._journal = None
        if self._lock is not None:
            self._lock.release()
        self._lock = None

    def close(self) -> int:
        """Close a run that did not finish; return the number of frames kept for `--resume`.

        They are those that are there: somebody may have removed the folder. A workspace that is
        not open stays as it is.
        """
        if self._journal is None:
            return 0
        assert self._request is not None
        frames, kept = self._journal.frames, self._publication.frames
        self.end_writing()
        if frames and not self.waits_for_name:
            with suppress(OutputError):
                kept = Journal.finished_frames(self.work, self._request)
        if frames or self.waits_for_name:
            self._end()
        else:
            self._discard()
        return kept

    def _refuse_interrupted(self, request: Request) -> None:
        """Raise if finished segments or complete results would be lost."""
        if self.waits_for_name:
            raise OutputError(
                "complete results of an interrupted run are here, which lack their final name",
                where=self.final,
                hint="Give it to them with --resume, or start again with --force.",
            )
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
