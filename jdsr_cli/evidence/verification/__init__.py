"""Verification of results: hashes, records and counts are computed again and compared."""

from jdsr_cli.evidence.verification.findings import (
    Finding,
    Severity,
    Verification,
    VerifiedResult,
)
from jdsr_cli.evidence.verification.run import CHECKS, results_in, verify
from jdsr_cli.evidence.verification.stored_result import StoredResult

__all__ = [
    "CHECKS",
    "Finding",
    "Severity",
    "StoredResult",
    "Verification",
    "VerifiedResult",
    "results_in",
    "verify",
]
