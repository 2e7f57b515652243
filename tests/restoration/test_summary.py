from dataclasses import replace
from pathlib import Path

import pytest
from sample_counts import COUNTS

from jdsr_cli.errors import InputMissingError, JdsrError, MediaError, OutputError
from jdsr_cli.restoration import Counts, InputResult, RunSummary

SUCCEEDED = InputResult(Path("a.mp4"), Path("out/a"), Counts())


def failed(error: JdsrError) -> InputResult:
    return InputResult(Path("b.mp4"), error=error)


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ((SUCCEEDED, SUCCEEDED), 0),
        ((), 0),
        ((SUCCEEDED, failed(MediaError("x"))), 4),
        ((replace(SUCCEEDED, unread=("9 bytes were not read",)),), 4),
        ((replace(SUCCEEDED, notes=("9 bytes were not read",)),), 0),
        ((failed(MediaError("x")), failed(InputMissingError("x"))), 3),
        ((failed(OutputError("x")),), 6),
        ((failed(OutputError("x")), failed(MediaError("x"))), 3),
    ],
)
def test_the_exit_code_depends_on_the_errors(results: tuple[InputResult, ...], code: int) -> None:
    assert RunSummary(results).exit_code == code


@pytest.mark.parametrize(
    "counts",
    [
        Counts(frames_read=2, frames_written=1),
        Counts(faces_found=2, faces_restored=1),
        Counts(faces_found=1, faces_refused=1),
        Counts(faces_found=1, faces_bridged=1, faces_restored=1),
    ],
)
def test_inconsistent_counts_are_an_error(counts: Counts) -> None:
    with pytest.raises(JdsrError, match="clip"):
        counts.check(Path("clip.mp4"))


def test_consistent_counts_pass() -> None:
    COUNTS.check(Path("clip.mp4"))
    Counts(frames_read=5).check(Path("clip.mp4"))
