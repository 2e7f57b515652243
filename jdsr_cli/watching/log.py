"""The log of a watched folder: what became of each recording, in the folder of the results.

A line is appended and flushed to the disk for each change of state; the last line of a recording
counts. A line that was cut off counts as not written.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from jdsr_cli.atomic import flush_folder, output_error
from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.evidence import read_manifest
from jdsr_cli.restoration.result_names import candidate_names
from jdsr_cli.watching.recordings import RecordedFile

LOG = "watch.jsonl"
"""Name of the log."""
State = Literal["begun", "restored", "failed", "changed"]


@dataclass(frozen=True)
class LoggedRecording:
    """What became of a recording."""

    recording: RecordedFile
    """The recording as it was then."""
    state: State
    """`begun`, `restored`, `failed` (its fault), or `changed` (after it was restored)."""
    result: str
    """Folder of its results, relative to the folder of all results, with `/`."""
    error: str | None = None


class WatchLog:
    """The log in a folder of results.

    Args:
        out: Folder of all results, which exists.

    Raises:
        InputUnreadableError: There is a log, but it cannot be read.

    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._path = out / LOG
        self._entries: dict[str, LoggedRecording] = {}
        try:
            lines = self._path.read_bytes().split(b"\n") if self._path.exists() else []
        except OSError as fault:
            raise InputUnreadableError(
                f"cannot be read ({fault.strerror or fault})",
                where=self._path,
                hint="Check its permissions.",
            ) from fault
        for line in lines:
            entry = _read(line)
            if entry is not None:
                self._entries[entry.recording.file] = entry

    def get(self, file: str) -> LoggedRecording | None:
        """Return the last entry of a recording; None if it is unknown."""
        return self._entries.get(file)

    def begin(self, recording: RecordedFile) -> LoggedRecording:
        """Log that a recording is processed now, under a name that it keeps.

        The results of `gate/cam.mp4` are in `gate/cam`, or, if those of a recording such as
        `gate/cam.avi` are there, in `gate/cam.mp4`.

        Raises:
            OutputError: The log cannot be written.

        """
        known = self.get(recording.file)
        result = self._choose_result(recording.file) if known is None else known.result
        return self._add(LoggedRecording(recording, "begun", result))

    def end(self, entry: LoggedRecording, state: State, error: str | None = None) -> None:
        """Log the new state of a recording.

        Raises:
            OutputError: The log cannot be written.

        """
        self._add(replace(entry, state=state, error=error))

    def manifest(self, entry: LoggedRecording) -> dict[str, Any] | None:
        """Return the manifest of the results of a recording; None if there is no valid one."""
        return read_manifest(self._out / entry.result) or None

    def _choose_result(self, file: str) -> str:
        path = Path(file)
        taken = {one.result.casefold() for one in self._entries.values()}
        results = [(path.parent / name).as_posix() for name in candidate_names(path)]
        return next((one for one in results if one.casefold() not in taken), results[-1])

    def _add(self, entry: LoggedRecording) -> LoggedRecording:
        line = json.dumps(asdict(entry), ensure_ascii=False).encode("utf-8", "surrogateescape")
        try:
            with self._path.open("ab") as file:
                # A line that was cut off must not run into this one.
                file.write(b"\n" + line + b"\n" if self._is_cut_off() else line + b"\n")
                file.flush()
                os.fsync(file.fileno())
            flush_folder(self._out)
        except OSError as fault:
            raise output_error(fault, self._path) from fault
        self._entries[entry.recording.file] = entry
        return entry

    def _is_cut_off(self) -> bool:
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            return size > 0 and file.read(1) != b"\n"


def _read(line: bytes) -> LoggedRecording | None:
    try:
        values = json.loads(line.decode("utf-8", "surrogateescape"))
        return LoggedRecording(**{**values, "recording": RecordedFile(**values["recording"])})
    except (ValueError, TypeError, KeyError):
        return None
