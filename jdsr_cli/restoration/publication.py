"""Publication: complete results get their final name, and nothing else is removed for it.

The results are flushed to the disk, then renamed, then the folder of the name is flushed; only then
may the work be removed that they were made from. A file in the work says which results are
complete, so that a run that ended in between can be told from one that still has to be continued.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from jdsr_cli.atomic import atomic_file, flush_folder, flush_tree, output_error, publish_folder
from jdsr_cli.errors import InputError, OutputError
from jdsr_cli.evidence import MANIFEST, read_manifest, sha256_file
from jdsr_cli.renames import exchange, rename_new
from jdsr_cli.restoration.finished_result import is_valid_result, unlisted_entries
from jdsr_cli.restoration.kept_files import remove

RESULTS, WORK, REPLACED, MENDING = "results", "work", "old", "mending"
"""Folders in the hidden folder: the results, for which an earlier result is exchanged; the work;
that earlier result where the file system exchanges nothing in one step; and damaged segments that
are done again."""
COMPLETE = "complete"
"""Name of the file in the folder of the work that holds the SHA-256 of the manifest of complete
results."""
OTHER_PLACE = "Move it away, or choose another folder with --out."
CHANGED = "what had this name was replaced by something else during the run"


class _Refusal(NamedTuple):
    """Why what has the final name is kept."""

    what: str
    remedy: str = "Move it away"
    """What the user can do before a run."""
    waiting: str = "Move it away"
    """What the user can do when complete results wait for the name."""


class Publication:
    """The final name of a result, and the hidden folder in which its results grow.

    Args:
        final: Folder with the final name, which may not exist.
        hidden: The hidden folder, which may not exist.
        source: The input, which is never replaced.

    """

    def __init__(self, final: Path, hidden: Path, source: Path) -> None:
        self._final = final
        self._hidden = hidden
        self._source = source
        self._results = hidden / RESULTS
        self._replaced = hidden / REPLACED
        self._mark = hidden / WORK / COMPLETE

    def check_name(self, *, replaces: bool) -> None:
        """Check that the final name is free, or that of a result that may be replaced.

        Args:
            replaces: Whether an earlier result is replaced.

        Raises:
            OutputError: Something has the name that is kept.

        """
        refusal = self._refusal(replaces=replaces)
        if refusal is not None:
            hint = f"{refusal.remedy}, or choose another folder with --out."
            raise OutputError(refusal.what, where=self._final, hint=hint)

    def _refusal(self, *, replaces: bool) -> _Refusal | None:
        """Return why what has the final name is kept; None if the name is free or may be taken."""
        final = self._final
        if not os.path.lexists(final):
            return None
        if not is_valid_result(final):
            what = "something that is not a result of jdsr has this name already"
            if not final.is_symlink() and (final / MANIFEST).exists():
                what = f"{what} (its {MANIFEST} is damaged, or of another program)"
            return _Refusal(what)
        if self._source.resolve().is_relative_to(final.resolve()):
            what = "the input lies in the folder of results that would be replaced"
            return _Refusal(what, "Move the input out of it", "Move the input out of it")
        if not replaces:
            return _Refusal("an earlier result is here already", "Replace it with --force")
        return _refused_entries(final)

    def check_hidden(self) -> None:
        """Check that the hidden folder holds nothing else.

        Raises:
            OutputError: It does, or is no folder.

        """
        hidden = self._hidden
        if not os.path.lexists(hidden):
            return
        what = "is not a folder of jdsr, and has the name of that for unfinished results"
        others: list[str] = []
        if hidden.is_dir() and not hidden.is_symlink():
            own = {RESULTS, WORK, REPLACED, MENDING}
            others = sorted({one.name for one in hidden.iterdir()} - own)
        if others:
            what = f"this folder for unfinished results holds what jdsr did not write: {others[0]}"
        if others or hidden.is_symlink() or not hidden.is_dir():
            raise OutputError(what, where=hidden, hint=OTHER_PLACE)

    @property
    def is_complete(self) -> bool:
        """Whether complete results wait for their final name."""
        return self._is_marked(self._results)

    @property
    def is_done(self) -> bool:
        """Whether the results of this run have their final name already."""
        return self._is_marked(self._final)

    @property
    def frames(self) -> int:
        """Frames of the complete results that wait for their final name."""
        counts = read_manifest(self._results).get("counts")
        frames = counts.get("frames_read") if isinstance(counts, dict) else None
        return frames if isinstance(frames, int) and self.is_complete else 0

    def _is_marked(self, folder: Path) -> bool:
        try:
            return self._mark.read_text("ascii") == sha256_file(folder / MANIFEST)
        except (OSError, ValueError):
            return False

    def seal(self) -> None:
        """Flush the results, which are complete, and mark them so; without a manifest they are not.

        Raises:
            OutputError: The disk refuses.

        """
        try:
            flush_tree(self._results)
            flush_folder(self._hidden)
            flush_folder(self._final.parent)
            with suppress(InputError):
                digest = sha256_file(self._results / MANIFEST)
                with atomic_file(self._mark) as partial:
                    partial.write_text(digest, "ascii")
        except OSError as fault:
            raise self._error(fault) from fault

    def publish(self, *, replaces: bool) -> None:
        """Give sealed results their final name; what had it is looked at again.

        An earlier result is exchanged for them in one step and removed afterwards.

        Args:
            replaces: Whether an earlier result is replaced.

        Raises:
            OutputError: Something has the name that is kept, or the file system refuses. The
                results stay where they are.

        """
        try:
            refusal = self._take_name(replaces=replaces)
        except OSError as fault:
            raise self._error(fault) from fault
        if refusal is not None:
            forced = " and --force" if replaces else ""
            raise OutputError(
                f"{refusal.what}; the complete results are kept",
                where=self._final,
                hint=f"{refusal.waiting}, then repeat the command with --resume{forced}.",
            )

    def _take_name(self, *, replaces: bool) -> _Refusal | None:
        """Do what `publish` does; return why what has the name is kept, None if it was done."""
        if not os.path.lexists(self._final):
            try:
                publish_folder(self._results, self._final)
            except FileExistsError:
                return self._refusal(replaces=False)
            return None
        refusal = self._refusal(replaces=replaces)
        if refusal is not None:
            return refusal
        remove(self._replaced)
        exchange(self._results, self._final, self._replaced)
        # Now that it has another name, nobody adds anything to it.
        refusal = (
            _refused_entries(self._results) if is_valid_result(self._results) else _Refusal(CHANGED)
        )
        if refusal is not None:
            exchange(self._results, self._final, self._replaced)
            return refusal
        flush_folder(self._final.parent)
        flush_folder(self._hidden)
        return None

    def put_back(self) -> None:
        """Give an earlier result its name again if a run ended while it was being replaced.

        Raises:
            OutputError: The file system refuses.

        """
        if os.path.lexists(self._final) or not is_valid_result(self._replaced):
            return
        try:
            rename_new(self._replaced, self._final)
        except OSError as fault:
            raise self._error(fault) from fault

    def _error(self, fault: OSError) -> OutputError:
        return fault if isinstance(fault, OutputError) else output_error(fault, self._final)


def _refused_entries(folder: Path) -> _Refusal | None:
    """Return which entries keep a result from being replaced; None if it has its own only."""
    others = unlisted_entries(folder)
    if not others:
        return None
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    what = f"the result that would be replaced holds what jdsr did not write: {others[0]}{more}"
    return _Refusal(what, "Move it out of the folder", "Move it out of the folder")
