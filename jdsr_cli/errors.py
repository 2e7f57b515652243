"""Every error that jdsr raises on purpose, and the exit code it ends in.

::

    JdsrError
    ├── UsageError      (2, ValueError)       an option or setting that cannot work
    │   └── DeviceError                       the asked-for device is not there
    ├── InputError      (3, OSError)          an input cannot be used
    │   ├── InputMissingError                 nothing at that path
    │   ├── InputUnreadableError              it is there but cannot be opened or listed
    │   ├── MediaError                        opened, but not media that can be decoded
    │   └── DatasetError                      a training or evaluation set is not as described
    ├── OutputError     (6, OSError)          the output place is full, read-only or taken
    ├── WeightsError    (5, RuntimeError)     a weight file cannot be used
    │   ├── WeightsMissingError               it is not on this machine
    │   └── WeightsCorruptError               its bytes or tensors are not those recorded
    └── TrainingError   (1, RuntimeError)     a loss that is not finite, a checkpoint of another run

Exit codes of the command line: 0 all done · 1 training failed · 2 usage · 3 input unreadable ·
4 some inputs failed, the rest done · 5 weights missing or corrupt · 6 output cannot be written ·
130 interrupted.
"""

from __future__ import annotations

from pathlib import Path

EXIT_OK = 0
EXIT_PARTIAL = 4
EXIT_INTERRUPTED = 130


class JdsrError(Exception):
    """Base of the tree: what went wrong, where, and what to do about it.

    Args:
        what: The fault in a few words, no final full stop.
        where: The file, stream or option concerned.
        hint: What the user can do.

    """

    exit_code: int = 1

    def __init__(
        self, what: str, *, where: str | Path | None = None, hint: str | None = None
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        return text if self.hint is None else f"{text}. {self.hint}"


class UsageError(JdsrError, ValueError):
    """An option or setting that cannot work."""

    exit_code = 2


class DeviceError(UsageError):
    """The asked-for device is not on this machine."""


class InputError(JdsrError, OSError):
    """An input cannot be used; other inputs are not affected."""

    exit_code = 3


class InputMissingError(InputError):
    """Nothing exists at the given path."""


class InputUnreadableError(InputError):
    """The path exists but cannot be opened or listed."""


class MediaError(InputError):
    """The file opens but holds no media that can be decoded."""


class DatasetError(InputError):
    """A training or evaluation set is not laid out as described."""


class OutputError(JdsrError, OSError):
    """The output place is full, read-only, or already taken."""

    exit_code = 6


class WeightsError(JdsrError, RuntimeError):
    """A weight file cannot be used."""

    exit_code = 5


class WeightsMissingError(WeightsError):
    """The weight file is not on this machine."""


class WeightsCorruptError(WeightsError):
    """The bytes or tensors of a weight file are not those recorded for it."""


class TrainingError(JdsrError, RuntimeError):
    """Training cannot go on: a loss is not finite, or a checkpoint belongs to another run."""
