"""The loop of `jdsr watch`: list the folder, restore what is finished, log it, wait."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from jdsr_cli.atomic import prepare_folder
from jdsr_cli.errors import InputError, InputMissingError, InputUnreadableError, JdsrError
from jdsr_cli.execution.runs import Executor, open_runner
from jdsr_cli.execution.units import Unit
from jdsr_cli.progress import Progress, Silent
from jdsr_cli.reporting import list_results
from jdsr_cli.restoration.input_bytes import InputBytes
from jdsr_cli.restoration.summary import InputResult
from jdsr_cli.settings import ExecutionSettings, RestoreSettings, WatchOptions
from jdsr_cli.watching.log import LoggedRecording, WatchLog
from jdsr_cli.watching.recordings import RecordedFile, SettlingFiles, list_recordings


def watch(
    folder: str | Path,
    options: WatchOptions | None = None,
    settings: RestoreSettings | None = None,
    execution: ExecutionSettings | None = None,
    progress: Progress | None = None,
) -> Iterator[InputResult]:
    """Restore the recordings in a folder and its sub-folders as they are finished.

    A recording is finished when its size and its modification time have not changed for a set
    time. Each is restored once; interrupted ones continue. After a restart the log and the
    manifests in the folder of results say what is done. Nothing is deleted.

    Args:
        folder: The watched folder.
        options: Folder of results, and times.
        settings: Settings of the restoration. With `force`, a recording that changed after it was
            restored is restored again.
        execution: Number and place of processes.
        progress: Receives the progress of each recording.

    Yields:
        The result of each recording, as soon as it is known. One that changed after it was
        restored has an error that says so. A recording that failed is tried again if it changes.

    Raises:
        InputMissingError, InputUnreadableError: The folder is missing, or cannot be listed at the
            start.
        UsageError, DeviceError, WeightsError, OutputError: As `restore`.

    """
    watched, options = Path(folder), options or WatchOptions()
    if not watched.is_dir():
        raise InputMissingError("no such folder", where=watched, hint="Check the spelling.")
    out, progress = prepare_folder(options.out), progress or Silent()
    settings = replace(settings or RestoreSettings(), resume=True)
    with open_runner(settings, execution or ExecutionSettings(), out, progress) as runner:
        watcher = _Watcher(watched, out, settings, runner, progress)
        yield from watcher.run(options)


class _Watcher:
    """A watched folder, and what became of its recordings."""

    def __init__(
        self,
        folder: Path,
        out: Path,
        settings: RestoreSettings,
        runner: Executor,
        progress: Progress,
    ) -> None:
        self._folder = folder
        self._out = out
        self._force = settings.force
        self._lists = settings.report
        self._runner = runner
        self._progress = progress
        self._log = WatchLog(out)
        self._given_up: set[RecordedFile] = set()
        """Recordings that failed for a reason outside them; a restart tries them again."""

    def run(self, options: WatchOptions) -> Iterator[InputResult]:
        """Yield results until the caller stops, or once."""
        settling = SettlingFiles(options.settle)
        listing = list_recordings(self._folder, self._out)
        if listing.results:
            were = "1 folder was" if listing.results == 1 else f"{listing.results} folders were"
            self._progress.note(f"{self._folder}: {were} left out: results of jdsr")
        finished = settling.finished(listing.recordings, time.monotonic())
        if options.once:
            time.sleep(options.settle)
            found = list_recordings(self._folder, self._out).recordings
            yield from self._process(settling.finished(found, time.monotonic()))
            return
        reachable = True
        while True:
            yield from self._process(finished)
            time.sleep(options.poll)
            try:
                found = list_recordings(self._folder, self._out).recordings
            except InputUnreadableError as fault:
                if reachable:
                    self._progress.note(f"{fault} It is tried again.")
                reachable, found = False, []
            else:
                reachable = True
            finished = settling.finished(found, time.monotonic())

    def _process(self, finished: Sequence[RecordedFile]) -> Iterator[InputResult]:
        """Restore those of the finished recordings that are not done."""
        todo = []
        for recording in finished:
            entry = self._log.get(recording.file)
            if recording in self._given_up or (entry and self._is_done(entry, recording)):
                continue
            changed = entry is not None and entry.state in ("restored", "changed")
            if entry is None or not changed or self._force or self._log.manifest(entry) is None:
                todo.append(recording)
            elif (fault := self._describe_change(entry, recording)) is not None:
                yield InputResult(self._folder / recording.file, error=fault)
        known = [self._log.get(recording.file) for recording in todo]
        entries = [self._log.begin(recording) for recording in todo]
        units = [
            self._unit(number, entry, earlier)
            for number, (entry, earlier) in enumerate(zip(entries, known, strict=True))
        ]
        folders: dict[Path, None] = {}
        for unit, result in self._runner.run(units, self._progress):
            self._conclude(entries[unit.number], result)
            if result.output is not None:
                folders[result.output.parent] = None
            yield result
        if self._lists:
            for folder in folders:
                list_results(folder, self._progress)

    def _is_done(self, entry: LoggedRecording, recording: RecordedFile) -> bool:
        """Return whether nothing is to be done for a recording, as far as its entry says."""
        if entry.recording != recording or entry.state == "begun":
            return False
        if entry.state == "restored":
            return self._log.manifest(entry) is not None
        return entry.state == "failed" or not self._force

    def _describe_change(
        self, entry: LoggedRecording, recording: RecordedFile
    ) -> InputError | None:
        """Log that a recording changed after it was restored; None if its content is the same."""
        path, manifest = self._folder / recording.file, self._log.manifest(entry) or {}
        known = manifest.get("input", {})
        before, now = known.get("bytes"), recording.bytes
        try:
            same = before == now and known.get("sha256") == InputBytes(path).digest.sha256
        except OSError:
            # It was removed or locked in the meantime; the next look at the folder decides.
            return None
        if same:
            self._log.end(replace(entry, recording=recording), "restored")
            return None
        grew = isinstance(before, int) and now > before
        what = f"{'grew' if grew else 'changed'} after it was restored ({before} bytes, now {now})"
        hint = "Its result shows the earlier content; --force restores it again."
        fault = InputError(what, where=path, hint=hint)
        self._log.end(replace(entry, recording=recording), "changed", str(fault))
        return fault

    def _unit(self, number: int, entry: LoggedRecording, earlier: LoggedRecording | None) -> Unit:
        result = self._out / entry.result
        prepare_folder(result.parent)
        # What was begun with earlier content cannot be continued.
        anew = earlier is not None and earlier.recording != entry.recording
        source = self._folder / entry.recording.file
        return Unit(number, source, result.parent, result.name, anew)

    def _conclude(self, entry: LoggedRecording, result: InputResult) -> None:
        """Log a result."""
        fault: JdsrError | None = result.error
        if fault is None:
            self._log.end(entry, "restored")
        elif isinstance(fault, InputError):
            self._log.end(entry, "failed", str(fault))
        else:
            self._given_up.add(entry.recording)
