"""Where the results of one input grow: a hidden folder that takes their name when all is there.

`.NAME.partial/results` becomes `NAME`; beside it `.NAME.partial/work` holds the journal and the
finished segments. A run that is interrupted leaves the hidden folder for `--resume`, unless no
segment was finished yet.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

from jdsr_cli.atomic import clear_partials, output_error
from jdsr_cli.errors import OutputError
from jdsr_cli.restoration.journal.journal import Journal
from jdsr_cli.restoration.journal.request import Request

MANIFEST = "manifest.json"
"""Written last: a folder without it is no result."""
REQUEST = "request"
"""Key of the manifest that holds the digest of the request."""


class Workplace:
    """The folder of one input's results, from the first frame to the last.

    Args:
        out: Folder that exists.
        name: Of the results in it.
        source: The input, which is never to be replaced.

    """

    def __init__(self, out: Path, name: str, source: Path) -> None:
        self.final = out / name
        self._hidden = out / f".{name}.partial"
        self._source = source
        self._journal: Journal | None = None

    @property
    def results(self) -> Path:
        """Folder that will take the final name."""
        return self._hidden / "results"

    @property
    def work(self) -> Path:
        """Folder of segments and journal."""
        return self._hidden / "work"

    @property
    def journal(self) -> Journal:
        """Of the run, between `open` and `close`."""
        assert self._journal is not None, "the workplace is not open"
        return self._journal

    def is_finished(self, request: Request) -> bool:
        """Whether a result of the same request is there already."""
        try:
            manifest = json.loads((self.final / MANIFEST).read_text(encoding="utf-8"))
            return bool(manifest[REQUEST] == request.digest)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def look(self, request: Request, *, force: bool, resume: bool) -> int | None:
        """Return how many frames `open` would find done; None where the result is there.

        Nothing is changed.

        Raises:
            OutputError: As `open` would.

        """
        if resume and not force and self.is_finished(request):
            return None
        self._refuse_taken(force=force)
        if not (self.work / Journal.NAME).exists():
            return 0
        if not resume:
            if not force:
                self._refuse_interrupted(request)
            return 0
        return Journal.look(self.work, request)

    def open(self, request: Request, *, force: bool, resume: bool) -> None:
        """Begin, or go on where an interrupted run of the same request stopped.

        Args:
            request: What is to be done.
            force: Replace an earlier result of the name, and forget an interrupted run.
            resume: Go on with an interrupted run where there is one.

        Raises:
            OutputError: The name is taken, an interrupted run is here that was not to go on or
                was another, another run is at work, or the place cannot be written.

        """
        self._refuse_taken(force=force)
        started = (self.work / Journal.NAME).exists()
        if started and not resume:
            if force:
                Journal.refuse_busy(self.work)
            else:
                self._refuse_interrupted(request)
        try:
            if not (started and resume):
                _discard(self._hidden)
            self.work.mkdir(parents=True, exist_ok=True)
            self.results.mkdir(exist_ok=True)
        except OSError as fault:
            raise output_error(fault, self.final) from fault
        self._journal = Journal(self.work, request)
        try:
            clear_partials(self._hidden)
        except OSError as fault:
            raise output_error(fault, self.final) from fault

    def publish(self) -> None:
        """Give the results their final name and remove the work.

        Raises:
            OutputError: The disk does not take it.

        """
        try:
            if self.final.exists():
                old = self._hidden / "old"
                _discard(old)
                self.final.rename(old)
            self.results.rename(self.final)
        except OSError as fault:
            raise output_error(fault, self.final) from fault
        self.journal.close()
        self._journal = None
        shutil.rmtree(self._hidden, ignore_errors=True)

    def clear(self) -> None:
        """Remove what a run left that was killed after it had published its results."""
        if not self.results.exists():
            shutil.rmtree(self._hidden, ignore_errors=True)

    def is_finished_part(self, where: str | None) -> bool:
        """Whether `where` names a file of a finished segment, which cannot be made again."""
        if where is None or self._journal is None or Path(where).parent != self.work:
            return False
        number = Path(where).name.partition(".")[0]
        return number.isdigit() and int(number) < len(self._journal.segments)

    def leave(self) -> int:
        """Close a run that did not end; return the number of frames kept for `--resume`.

        Where nothing is open, nothing is done.
        """
        if self._journal is None:
            return 0
        frames = self._journal.frames
        self._journal.close()
        self._journal = None
        if not frames:
            shutil.rmtree(self._hidden, ignore_errors=True)
        return frames

    def _refuse_interrupted(self, request: Request) -> None:
        """Raise where finished segments would be lost without having been given up."""
        try:
            frames = Journal.look(self.work, request)
        except OutputError as fault:
            raise OutputError(
                f"an interrupted run is here ({fault.what})",
                where=self.final,
                hint="Start anew with --force, or choose another folder with --out.",
            ) from fault
        if frames:
            raise OutputError(
                f"an interrupted run is here, with {frames} frames done",
                where=self.final,
                hint="Go on with --resume, or start anew with --force.",
            )

    def _refuse_taken(self, *, force: bool) -> None:
        final = self.final
        if not final.exists() and not final.is_symlink():
            return
        if not (final.is_dir() and (final / MANIFEST).is_file()):
            raise OutputError(
                "something that is not a result of jdsr has this name already",
                where=final,
                hint="Choose another folder with --out.",
            )
        if self._source.resolve().is_relative_to(final.resolve()):
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


def _discard(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
