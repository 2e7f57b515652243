"""The sink that records which files of a result are signed, over the segments of a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from jdsr_cli.restoration.frame import OpenInput
from jdsr_cli.restoration.result_signer import ResultSigner, SignedFile
from jdsr_cli.restoration.sinks import SegmentedText, Sink, SinkResult

SIGNED = "signed.jsonl"
"""End of the names of the files in the folder of the work that list what was signed."""


class SignedFilesSink(Sink):
    """Lists the signed files. It comes after all sinks that sign.

    Args:
        opened: The input.
        signer: What signs the files of its result.

    """

    name = "signed_files"

    def __init__(self, opened: OpenInput, signer: ResultSigner) -> None:
        self._signer = signer
        self._listed = SegmentedText(opened.workspace, SIGNED)

    def end_segment(self) -> list[Path]:
        """Store what was signed in the segment."""
        for one in self._signer.take_signed():
            self._listed.add(json.dumps(asdict(one)))
        return [self._listed.end_segment()]

    def finish(self) -> SinkResult:
        """Return the entry of the manifest; videos were signed after the last segment."""
        signed = [SignedFile(**json.loads(line)) for line in self._listed.lines()]
        signed += self._signer.take_signed()
        note = self._signer.note(signed)
        return SinkResult(
            notes=() if note is None else (note,), credentials=self._signer.describe(signed)
        )
