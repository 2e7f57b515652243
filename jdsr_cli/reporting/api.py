"""The public function `report`: write the reports of results again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jdsr_cli.errors import (
    EXIT_OK,
    EXIT_PARTIAL,
    InputError,
    InputMissingError,
    InputUnreadableError,
    JdsrError,
)
from jdsr_cli.evidence.sums import update_sum
from jdsr_cli.reporting.folder import is_result, refuse_link
from jdsr_cli.reporting.index import find_results, update_index
from jdsr_cli.reporting.page import write_report
from jdsr_cli.reporting.wording import unexpected


@dataclass(frozen=True)
class ReportResult:
    """The report of one result, or the list of results in a folder.

    Examples:
        >>> from jdsr_cli import report
        >>> (result,) = report(["absent"]).results
        >>> result.page is None, result.error.exit_code
        (True, 3)

    """

    folder: Path
    """Of the result, or of the results that are listed."""
    page: Path | None = None
    """The file that was written; None if it failed."""
    error: JdsrError | None = None


@dataclass(frozen=True)
class ReportSummary:
    """All pages that `report` wrote.

    Examples:
        >>> from jdsr_cli import report
        >>> report(["absent"]).exit_code
        3

    """

    results: tuple[ReportResult, ...]

    @property
    def done(self) -> tuple[ReportResult, ...]:
        """Pages that were written."""
        return tuple(one for one in self.results if one.error is None)

    @property
    def failed(self) -> tuple[ReportResult, ...]:
        """Pages that could not be written."""
        return tuple(one for one in self.results if one.error is not None)

    @property
    def exit_code(self) -> int:
        """0 if all are done, 4 if some, otherwise the code of the failures, 3 if they differ."""
        if not self.failed:
            return EXIT_OK
        if self.done:
            return EXIT_PARTIAL
        codes = {one.error.exit_code for one in self.failed if one.error is not None}
        return codes.pop() if len(codes) == 1 else InputError.exit_code


def report(folders: Sequence[str | Path]) -> ReportSummary:
    """Write `report.html` of results again, and `index.html` of folders of results.

    A report is made from the folder of its result alone, and the same folder gives the same bytes.
    If the result has a `SHA256SUMS`, the line of the report in it is replaced. A folder of two or
    more results gets a list of them.

    Args:
        folders: Results of `restore`, or folders of such results.

    Returns:
        The outcome for each page. A result that fails does not stop the others.

    Examples:
        >>> from jdsr_cli import RestoreSettings, report, restore
        >>> _ = restore(["photo.png"], "results", RestoreSettings(device="cpu", report=False))
        >>> [result.page.name for result in report(["results"]).results]
        ['report.html']

    """
    return ReportSummary(tuple(one for folder in folders for one in _report_folder(Path(folder))))


def _report_folder(folder: Path) -> Iterator[ReportResult]:
    if is_result(folder):
        yield _report_result(folder)
        return
    try:
        results = _results_in(folder)
    except InputError as fault:
        yield ReportResult(folder, error=fault)
        return
    for result in results:
        yield _report_result(result, listed=True)
    try:
        page = update_index(folder)
    except JdsrError as fault:
        yield ReportResult(folder, error=fault)
    else:
        if page is not None:
            yield ReportResult(folder, page)


def _results_in(folder: Path) -> list[Path]:
    if not folder.exists():
        raise InputMissingError("no such folder", where=folder, hint="Check the path.")
    try:
        results = find_results(folder)
    except OSError as fault:
        raise InputUnreadableError(
            f"cannot be listed ({fault.strerror or fault})", where=folder, hint="Check the path."
        ) from fault
    if not results:
        raise InputMissingError(
            "holds no result of jdsr",
            where=folder,
            hint="Give a folder that `jdsr restore` wrote, or the folder of such folders.",
        )
    return results


def _report_result(folder: Path, *, listed: bool = False) -> ReportResult:
    try:
        if listed:
            refuse_link(folder)
        page = write_report(folder)
        update_sum(folder, page.name)
    except JdsrError as fault:
        return ReportResult(folder, error=fault)
    except Exception as fault:  # a folder that anybody may have written stops no other
        error = InputUnreadableError(unexpected(fault), where=folder, hint="Copy the result again.")
        return ReportResult(folder, error=error)
    return ReportResult(folder, page)
