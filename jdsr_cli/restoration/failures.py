"""The error of an input: what a user is told about an exception."""

from __future__ import annotations

from pathlib import Path

from jdsr_cli.atomic import output_error
from jdsr_cli.errors import JdsrError
from jdsr_cli.memory_faults import memory_fault


def failure_of(fault: Exception, source: Path, final: Path) -> JdsrError:
    """Return the error that an exception means for an input.

    Args:
        fault: What was raised while it was processed.
        source: The input.
        final: Its result.

    """
    lack = memory_fault(fault, source)
    if lack is not None:
        return lack
    if isinstance(fault, JdsrError):
        return fault
    if isinstance(fault, OSError) and fault.errno is not None:
        return output_error(fault, final)
    error = JdsrError(
        f"failed unexpectedly ({type(fault).__name__}: {fault})",
        where=source,
        hint="Please report this with the file.",
    )
    error.__cause__ = fault
    return error
