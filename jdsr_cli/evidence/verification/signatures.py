"""Check of the content credentials of the files that a manifest calls signed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from jdsr_cli.evidence.credentials import check_credentials
from jdsr_cli.evidence.manifest import MANIFEST
from jdsr_cli.evidence.verification.findings import Finding
from jdsr_cli.evidence.verification.stored_result import StoredResult, shown


def signature_check(trust: Path | None) -> Callable[[StoredResult], Iterator[Finding]]:
    """Return the check of the credentials of a result.

    Args:
        trust: PEM file with the certificates of trusted issuers; None to trust none.

    """

    def check_signatures(result: StoredResult) -> Iterator[Finding]:
        """Name the files whose credentials are absent or invalid; count the others by state."""
        others: dict[str, int] = {}
        for one in check_credentials(result.folder, trust):
            if one.is_problem:
                yield Finding("problem", shown(one.file), f"content credentials: {one.state}")
            else:
                others[one.state] = others.get(one.state, 0) + 1
        for state, files in others.items():
            what = f"content credentials of {files} files: {shown(state)}"
            yield Finding("note", MANIFEST, what)

    return check_signatures
