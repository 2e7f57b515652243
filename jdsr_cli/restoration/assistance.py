"""Preparation of segments of an input that another process restores.

The other process runs the whole pipeline; what is prepared here, it takes from the folder of the
work. Detections are prepared for any segment, faces for one whose detections are known with those
of the frames after it that tracking needs.
"""

from __future__ import annotations

import time
from pathlib import Path

from jdsr_cli.errors import InputError, OutputError
from jdsr_cli.faces.display import Display
from jdsr_cli.inference.backends import single_threads
from jdsr_cli.media import Reader, open_reader
from jdsr_cli.restoration.frame import InputState, OpenInput
from jdsr_cli.restoration.input_bytes import InputBytes
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.restoration.models import Models
from jdsr_cli.restoration.numbered_frames import NumberedFrames
from jdsr_cli.restoration.plans import plan_detection
from jdsr_cli.restoration.segment_restoration import SegmentRestoration
from jdsr_cli.restoration.segment_search import SegmentSearch
from jdsr_cli.restoration.stages.reading import make_request
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import DetectionSettings, RestoreSettings

LOOK_STEP = 0.5
"""Seconds between two looks for something to prepare."""


class _NotNeededError(Exception):
    """The process that restores the input has ended."""


class Assistant:
    """Prepares segments of one input, which stays open until `close`.

    Args:
        source: The input.
        workspace: The folder of its results, which another process writes.
        settings: Settings of the run, the same as of that process.
        models: Open networks.

    Raises:
        InputError: The input cannot be read.
        OutputError: The other process works with other settings, networks, packages, or on another
            kind of device, so that its results would not be the same.

    """

    def __init__(
        self, source: Path, workspace: Workspace, settings: DetectionSettings, models: Models
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._models = models
        self._state = InputState(source, workspace)
        self._token = workspace.writing_token()
        try:
            opened = self._open(source)
            plan, frames = plan_detection(settings, models), self._number_frames(opened.reader)
            self._search = SegmentSearch(opened, plan, frames, self._check_needed)
            self._restoration: SegmentRestoration | None = None
            if isinstance(settings, RestoreSettings):
                assert models.generator is not None
                self._restoration = SegmentRestoration(
                    opened, settings, plan, models.generator, self._search,
                    self._number_frames(), self._check_needed,
                )  # fmt: skip
        except BaseException:
            self.close()
            raise

    def _open(self, source: Path) -> OpenInput:
        stored = Journal.stored_request(self._workspace.work)
        sha256 = str(stored.get("asked", {}).get("input", ""))
        request = make_request(self._settings, self._models, sha256)
        differences = request.differences(stored)
        if differences:
            raise OutputError(
                f"another process cannot take part in this run: {'; '.join(differences[:3])}",
                where=self._workspace.final,
                hint="Use the same packages, weights and kind of device everywhere.",
            )
        self._state.bytes = InputBytes(source)
        if self._state.bytes.digest.sha256 != sha256:
            raise InputError(
                "holds other bytes here than where it is restored",
                where=source,
                hint="Give all processes the same file, for example on a shared disk.",
            )
        reader = self._open_reader()
        self._state.resources.callback(reader.close)
        display = Display.of(reader.info.sample_aspect_ratio)
        digest = self._state.bytes.digest
        return OpenInput(self._state, reader, digest, request, display, None, None, ())

    def _open_reader(self) -> Reader:
        return open_reader(self._state.source, self._settings.reading)

    def _number_frames(self, reader: Reader | None = None) -> NumberedFrames:
        frames = NumberedFrames(self._open_reader, reader)
        self._state.resources.callback(frames.close)
        return frames

    def close(self) -> None:
        """Close the input and give up all claims."""
        self._state.close()

    def work(self, seconds: float) -> bool:
        """Prepare segments; after some time none is begun any more.

        Args:
            seconds: That time.

        Returns:
            Whether there may be more to prepare later.

        Raises:
            JdsrError: The input cannot be read, nothing can be written into the folder of the
                work, or a stage failed.

        """
        end = time.monotonic() + seconds
        try:
            with single_threads():
                while time.monotonic() < end:
                    self._check_needed()
                    if self.prepare_one():
                        continue
                    if self._restoration is None or not self._restoration.may_go_on():
                        return False
                    time.sleep(LOOK_STEP)
        except _NotNeededError:
            return False
        except Exception as fault:
            if not self.is_needed:
                # What failed is that the folder of the work is removed.
                return False
            self._state.fail(fault)
            error = self._state.error
            if error is None or error is fault:
                raise
            raise error from fault
        return True

    def prepare_one(self) -> bool:
        """Prepare a result of a segment, or come nearer to it; return whether there was one."""
        return self.restore_one() or self.search_one()

    def search_one(self) -> bool:
        """Search the first segment that nobody has searched; return whether there was one."""
        return self._search.prepare_one()

    def restore_one(self) -> bool:
        """Restore the faces of the first segment that can be; return whether there was one."""
        return self._restoration is not None and self._restoration.prepare_one()

    @property
    def is_needed(self) -> bool:
        """Whether the run goes on for which this prepares segments."""
        return self._token is not None and self._workspace.writing_token() == self._token

    def _check_needed(self) -> None:
        if not self.is_needed:
            raise _NotNeededError
