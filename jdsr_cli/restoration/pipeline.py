"""The pipeline: stages that run in threads of their own, with a bounded queue after each.

::

    read -> detect -> track, align -> generate -> composite -> write

Batches are filled across frames and inputs, and a failure of one input never stops the rest. A
stage is a generator function from an iterator to an iterator. An exception in a stage is raised
in its reader after everything that came before; when the reader stops, all stages stop.
"""

from __future__ import annotations

import re
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from jdsr_cli.errors import OutputError
from jdsr_cli.media import expand_inputs
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.frame import Element, InputState
from jdsr_cli.restoration.models import Models, open_models
from jdsr_cli.restoration.stages.align import AlignmentLimits, align
from jdsr_cli.restoration.stages.composite import composite
from jdsr_cli.restoration.stages.detect import DetectionPlan, detect
from jdsr_cli.restoration.stages.generate import generate
from jdsr_cli.restoration.stages.read import read
from jdsr_cli.restoration.stages.track import track
from jdsr_cli.restoration.stages.write import write
from jdsr_cli.restoration.summary import InputResult, RunSummary
from jdsr_cli.restoration.workspace import Workspace
from jdsr_cli.settings import CropSettings, DetectionSettings, RestoreSettings

MAX_QUEUE_ITEMS = 64
"""Maximum number of elements that wait between two stages."""
MAX_QUEUE_BYTES = 48 << 20
"""Maximum bytes of pictures that wait between two stages; one element always may."""
_FRAME_NUMBER = re.compile(r"%0?[0-9]*d")
"""The placeholder of the number in the name of an image sequence."""


class Sized(Protocol):
    """An element whose size in memory is known."""

    @property
    def nbytes(self) -> int:
        """Size of its pictures in memory."""


T = TypeVar("T", bound=Sized)


def run_pipeline(
    inputs: Sequence[str | Path],
    out: Path,
    settings: DetectionSettings,
    progress: Progress,
    *,
    models: Models | None = None,
    limit: int | None = None,
) -> RunSummary:
    """Process all inputs, each into a folder of its own in `out`.

    Args:
        inputs: Files, folders and globs.
        out: Folder for the results, created if it is missing.
        settings: `RestoreSettings` or `CropSettings`.
        progress: Receives the progress of each input.
        models: Open networks; None to open those that `settings` ask for.
        limit: Number of frames of each input that are processed; None for all.

    Returns:
        The result of each input; inputs that were not found come first.

    Raises:
        OutputError: Nothing can be written in `out`.
        WeightsError: A weight file is missing or altered.
        DeviceError: The device is not available.

    """
    paths, faults = expand_inputs([str(item) for item in inputs])
    results = [InputResult(Path(fault.where or ""), error=fault) for fault in faults]
    if paths:
        prepare_folder(out)
        models = models or open_models(settings, progress)
        states = [
            InputState(path, Workspace(out, name, path))
            for path, name in zip(paths, name_outputs(paths), strict=True)
        ]
        results += _run_stages(states, settings, models, progress, limit)
    return RunSummary(tuple(results))


def _run_stages(
    states: Sequence[InputState],
    settings: DetectionSettings,
    models: Models,
    progress: Progress,
    limit: int | None,
) -> list[InputResult]:
    plan = DetectionPlan(models.detector, settings.detect_every, settings.roi, models.embedder)
    limits = AlignmentLimits(settings.min_face, settings.min_sharpness, settings.min_track)
    try:
        with ParallelStages() as stages:
            stream: Iterator[Element]
            stream = stages.add(read(states, settings, models, limit), "read")
            stream = stages.add(detect(stream, plan), "detect")
            stream = track(stream, settings.tracker, settings.detect_every)
            if isinstance(settings, RestoreSettings):
                assert models.generator is not None
                side, calibration = models.generator.side, models.generator.calibration
                stream = stages.add(align(stream, side, limits, skip_bridged=False), "align")
                stream = stages.add(generate(stream, models.generator), "generate")
                stream = stages.add(composite(stream, settings, calibration), "composite")
            else:
                assert isinstance(settings, CropSettings)
                aligned = align(stream, settings.size, limits, skip_bridged=True)
                stream = stages.add(aligned, "align")
            return list(write(stream, settings, models, progress))
    finally:
        for state in states:
            state.close()


def prepare_folder(out: Path) -> Path:
    """Create `out` with its parents and check that files can be written in it.

    Raises:
        OutputError: It cannot be created, is not a folder, or is read-only or full.

    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(b"jdsr")
            probe.flush()
    except OSError as fault:
        raise OutputError(
            f"nothing can be written here ({fault.strerror or fault})",
            where=out,
            hint="Choose another folder with --out, or free the disk.",
        ) from fault
    return out


def name_outputs(paths: Sequence[Path]) -> list[str]:
    """Return the stem of each input, with -2, -3, ... added if a stem comes again.

    The stem of a sequence such as `shot_%05d.png` is `shot`. Names that differ only in case count
    as the same, as they are on some file systems.
    """
    taken: set[str] = set()
    names: list[str] = []
    for path in paths:
        stem = _FRAME_NUMBER.sub("", path.stem).strip(". _-") or "input"
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


class _Stopped(BaseException):
    """Ends a stage whose reader has stopped; not caught by `except Exception`."""


class BoundedQueue(Generic[T]):
    """An iterator that runs in a thread, ahead of its reader until the queue is full.

    Args:
        items: The iterator.
        name: Name of the thread.

    """

    def __init__(self, items: Iterator[T], name: str) -> None:
        self._items = items
        self._waiting: deque[T] = deque()
        self._bytes = 0
        self._change = Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                self._put(item)
        except _Stopped:
            pass
        except BaseException as error:
            self._error = error
        finally:
            with self._change:
                self._ended = True
                self._change.notify_all()

    def _put(self, item: T) -> None:
        with self._change:
            self._change.wait_for(lambda: self._stopped or self._has_room(item.nbytes))
            if self._stopped:
                raise _Stopped
            self._waiting.append(item)
            self._bytes += item.nbytes
            self._change.notify_all()

    def _has_room(self, size: int) -> bool:
        few = len(self._waiting) < MAX_QUEUE_ITEMS
        return not self._waiting or (few and self._bytes + size <= MAX_QUEUE_BYTES)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._ended or self._stopped)
            if self._stopped:
                raise _Stopped
            if self._waiting:
                item = self._waiting.popleft()
                self._bytes -= item.nbytes
                self._change.notify_all()
                return item
        if self._error is not None:
            raise self._error
        raise StopIteration

    def stop(self) -> None:
        """Wake and end both sides of the queue."""
        with self._change:
            self._stopped = True
            self._waiting.clear()
            self._change.notify_all()

    def join(self) -> None:
        """Wait for the thread to end."""
        self._thread.join()


class ParallelStages:
    """The running stages of a pipeline; a context manager that stops them all when it ends."""

    def __init__(self) -> None:
        self._running: list[BoundedQueue[Sized]] = []

    def add(self, items: Iterable[T], name: str) -> Iterator[T]:
        """Run `items` in a thread called `name`; return an iterator over the results."""
        queue = BoundedQueue(iter(items), name)
        self._running.append(queue)  # type: ignore[arg-type]
        return queue

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for queue in self._running:
            queue.stop()
        for queue in self._running:
            queue.join()
