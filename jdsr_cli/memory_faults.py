"""Which errors mean that this process lacks memory, whichever library raised them.

Under a limit (`ulimit -v`, a container) the loader of shared libraries, NumPy, OpenCV, PyTorch,
OpenVINO and the start of threads fail with errors of different types, some of which are the cause
of others. A library that ends the process itself cannot be caught.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from jdsr_cli.errors import InsufficientMemoryError, JdsrError, WeightsError

_MESSAGES = (
    "failed to map segment", "allocate memory", "unable to allocate", "not enough memory",
    "insufficient memory", "out of memory", "bad_alloc", "can't start new thread",
)  # fmt: skip
"""Parts of messages of ld.so, the system, NumPy, PyTorch, OpenCV, C++, Python; lower case."""


def memory_fault(fault: BaseException, where: Path | None = None) -> InsufficientMemoryError | None:
    """Return the error to report if a fault, or what caused it, is a lack of memory; else None.

    Other errors of jdsr stay as they are: a damaged file can make a library ask for any amount.
    Weights that cannot be opened for want of memory are not damaged.

    Args:
        fault: Any exception.
        where: The file that was processed.

    """
    if isinstance(fault, InsufficientMemoryError):
        return fault
    if isinstance(fault, JdsrError) and not isinstance(fault, WeightsError):
        return None
    for one in _causes(fault):
        if _is_lack(one):
            error = InsufficientMemoryError(
                f"this process has too little memory ({type(one).__name__})",
                where=where,
                hint="End other programs, or raise its limit (`ulimit -v`, container); about 2 GB "
                "are needed for the networks.",
            )
            error.__cause__ = fault
            return error
    return None


def _is_lack(fault: BaseException) -> bool:
    number = getattr(fault, "errno", None)
    if isinstance(fault, MemoryError) or number is not None:
        return isinstance(fault, MemoryError) or number == errno.ENOMEM
    if isinstance(fault, JdsrError):
        return False  # its text has names of files
    text = str(fault).lower()
    return any(part in text for part in _MESSAGES)


def _causes(fault: BaseException) -> Iterator[BaseException]:
    """Yield an exception, what caused it, and what caused that."""
    one: BaseException | None = fault
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
