"""What a run did, input by input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jdsr_cli.errors import EXIT_OK, EXIT_PARTIAL, InputError, JdsrError


@dataclass(frozen=True)
class Counts:
    """Numbers of frames and faces of one input, which must add up.

    >>> from jdsr_cli import CropSettings, crop_faces
    >>> (result,) = crop_faces(["photo.png"], "crops", CropSettings(device="cpu")).results
    >>> counts = result.counts
    >>> counts.frames_read, counts.faces_found, counts.faces_restored, counts.faces_refused
    (1, 1, 1, 0)
    """

    frames_read: int = 0
    frames_written: int | None = None
    """None where no frames were to be written."""
    tracks: int = 0
    """People who were followed, each from coming to going, but for those seen too briefly."""
    faces_found: int = 0
    """By the detector."""
    faces_bridged: int = 0
    """Not found, but worked out from the frames around."""
    faces_restored: int = 0
    """Restored, or exported by `crop_faces`."""
    faces_refused: int = 0
    faces_masked: int = 0
    """Restored faces that wear a mask."""
    faces_unsure: int = 0
    """Restored faces of which that is unsure."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Refused faces by kind of reason."""

    def check(self, where: Path) -> None:
        """Raise `JdsrError` where a frame or a face went missing on the way."""
        if self.frames_written is not None and self.frames_written != self.frames_read:
            raise JdsrError(
                f"{self.frames_read} frames were read but {self.frames_written} written",
                where=where,
                hint="Nothing was kept. Please report this.",
            )
        told = self.faces_restored + self.faces_refused
        if self.faces_found + self.faces_bridged != told or self.faces_refused != sum(
            self.refusals.values()
        ):
            raise JdsrError(
                f"{self.faces_found} faces were found and {self.faces_bridged} bridged, but {told} "
                "accounted for",
                where=where,
                hint="Nothing was kept. Please report this.",
            )


@dataclass(frozen=True)
class InputResult:
    """The result of one input.

    >>> from jdsr_cli import CropSettings, crop_faces
    >>> (result,) = crop_faces(["photo.png"], "crops", CropSettings(device="cpu")).results
    >>> result.failed, result.output.name
    (False, 'photo')
    """

    source: Path
    output: Path | None = None
    """Folder with the results, None where the input failed."""
    counts: Counts | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Measures of the whole input, such as flicker."""
    error: JdsrError | None = None
    notes: tuple[str, ...] = ()
    """What a person should know: lowered scale, damaged input, ..."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time by stage, and `total`; stages run beside each other."""

    @property
    def failed(self) -> bool:
        """Whether nothing came of this input."""
        return self.error is not None


@dataclass(frozen=True)
class RunSummary:
    """The results of all inputs, in their order.

    >>> from jdsr_cli import CropSettings, crop_faces
    >>> summary = crop_faces(["photo.png", "absent.png"], "crops", CropSettings(device="cpu"))
    >>> [result.source.name for result in summary.failed], summary.exit_code
    (['absent.png'], 4)
    """

    results: tuple[InputResult, ...]

    @property
    def done(self) -> tuple[InputResult, ...]:
        """Inputs with results."""
        return tuple(result for result in self.results if not result.failed)

    @property
    def failed(self) -> tuple[InputResult, ...]:
        """Inputs without."""
        return tuple(result for result in self.results if result.failed)

    @property
    def exit_code(self) -> int:
        """0 all done, 4 some, otherwise the code the failures share (3 where they differ)."""
        if not self.failed:
            return EXIT_OK
        if self.done:
            return EXIT_PARTIAL
        codes = {result.error.exit_code for result in self.failed if result.error is not None}
        return codes.pop() if len(codes) == 1 else InputError.exit_code
