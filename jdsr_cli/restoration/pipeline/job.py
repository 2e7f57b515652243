"""One input on its way through the stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from jdsr_cli.atomic import output_error
from jdsr_cli.errors import JdsrError
from jdsr_cli.faces.display import SQUARE, Display
from jdsr_cli.restoration.journal.workplace import Workplace
from jdsr_cli.restoration.pipeline.clock import StageClock

if TYPE_CHECKING:
    from jdsr_cli.evidence import FileDigest
    from jdsr_cli.media import MediaInfo, Reader
    from jdsr_cli.restoration.journal import Request, Snapshot
    from jdsr_cli.restoration.pipeline.work import Finisher, Product

P = ParamSpec("P")
T = TypeVar("T")


class Job:
    """What the stages know of one input.

    The stages run in threads of their own, but each part is set by one stage before the others
    see it: the reader fills in what an open input has, and every stage may fail the job. Of a
    failed job nothing more is done; other jobs go on.

    Args:
        source: The input.
        workplace: Of its results.

    """

    info: MediaInfo
    """What the input says about itself."""
    mark: FileDigest
    """Size and hash of the input."""
    request: Request
    """What is asked for."""
    finisher: Finisher
    """Makes of restored frames what is written."""
    products: Mapping[str, Product]
    """What stores frames, by name; empty where none are to be written."""
    display: Display = SQUARE
    """How its stored pixels are displayed."""
    plan_notes: tuple[str, ...] = ()
    """What a person should know of how the input is treated."""
    seen_notes: tuple[str, ...] = ()
    """What a person should know of the faces, when all frames were seen."""

    def __init__(self, source: Path, workplace: Workplace) -> None:
        self.source = source
        self.workplace = workplace
        self.clock = StageClock()
        self.error: JdsrError | None = None
        self.reader: Reader | None = None
        """Of the input, until it is closed."""
        self.state: Snapshot | None = None
        """Of the last finished segment, where an interrupted run goes on."""
        self.finished_before = False
        """Whether an earlier run had done it already."""
        self.read_notes: tuple[str, ...] = ()
        """What the reader had to tell, complete at the end."""
        self.frames_read = 0
        """Frames that the reader delivered or passed over, complete at the end."""

    @property
    def failed(self) -> bool:
        """Whether a stage gave the job up."""
        return self.error is not None

    def close(self) -> int:
        """Close input and workplace; return the number of frames kept for `--resume`.

        What is closed already stays so.
        """
        reader, self.reader = self.reader, None
        if reader is not None:
            reader.close()
        return self.workplace.leave()

    def attempt(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T | None:
        """Return what `work` gives; None where the job has failed or fails by it."""
        if self.failed:
            return None
        try:
            return work(*args, **named)
        except Exception as fault:
            self.fail(fault)
            return None

    def fail(self, fault: Exception) -> None:
        """Give the job up; the first fault counts."""
        if self.error is not None:
            return
        if isinstance(fault, JdsrError):
            self.error = fault
            return
        if isinstance(fault, OSError) and fault.errno is not None:
            self.error = output_error(fault, self.workplace.final)
            return
        self.error = JdsrError(
            f"failed unexpectedly ({type(fault).__name__}: {fault})",
            where=self.source,
            hint="Please report this with the file.",
        )
        self.error.__cause__ = fault
