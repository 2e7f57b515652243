"""The exceptions of jdsr and their exit codes.

::

    JdsrError
    ├── UsageError      (2, ValueError)       an option or setting that cannot work
    │   └── DeviceError                       the requested device does not exist
    ├── InputError      (3, OSError)          an input cannot be used
    │   ├── InputMissingError                 the path does not exist
    │   ├── InputUnreadableError              the path cannot be opened or listed
    │   ├── MediaError                        the file contains no media that can be decoded
    │   │   └── TooLargeError                 decoding it would take too much memory or time
    │   └── DatasetError                      a data set has an unexpected layout
    ├── InsufficientMemoryError               the process has too little memory
    │                   (1, MemoryError)
    ├── OutputError     (6, OSError)          the output cannot be written, or not signed
    ├── WeightsError    (5, RuntimeError)     a weight file cannot be used
    │   ├── WeightsMissingError               the file is not on this machine
    │   └── WeightsCorruptError               its bytes or tensors differ from the record
    └── TrainingError   (1, RuntimeError)     a loss that is not finite, a checkpoint of another run

Exit codes of the command line: 0 all done · 1 training failed, or too little memory · 2 usage ·
3 input unreadable · 4 some inputs, recordings in them, jobs of a plan or rows of a table failed,
the rest done · 5 weights missing or corrupt · 6 output cannot be written · 7 a result is not as
recorded · 130 interrupted.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

EXIT_OK = 0
EXIT_PARTIAL = 4
EXIT_INTERRUPTED = 130


class JdsrError(Exception):
    """Base class of all errors: what is wrong, where, and what the user can do.

    Args:
        what: The fault in a few words, without a full stop.
        where: The file, stream or option concerned.
        hint: What the user can do.

    Examples:
        >>> from jdsr_cli import InputMissingError, JdsrError
        >>> error = InputMissingError("no such file", where="a.mp4", hint="Check the path.")
        >>> isinstance(error, JdsrError), error.exit_code
        (True, 3)
        >>> print(error)
        a.mp4: no such file. Check the path.

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
    """An option or setting has a value that is not allowed.

    Examples:
        >>> from jdsr_cli import CropSettings, UsageError
        >>> try:
        ...     CropSettings(size=8)
        ... except UsageError as error:
        ...     print(error.where, error.exit_code)
        --size 2

    """

    exit_code = 2


class DeviceError(UsageError):
    """The requested device is not on this machine.

    Examples:
        >>> from jdsr_cli import DeviceError, RestoreSettings, restore
        >>> try:
        ...     restore(["photo.png"], "results", RestoreSettings(device="cuda:99"))
        ... except DeviceError as error:
        ...     print(error.what)
        the device cuda:99 is not on this machine

    """


class InputError(JdsrError, OSError):
    """An input cannot be used; other inputs are not affected.

    Examples:
        >>> from jdsr_cli import InputError, restore
        >>> (result,) = restore(["absent.png"], "results").results
        >>> isinstance(result.error, InputError), result.error.exit_code
        (True, 3)

    """

    exit_code = 3


class InputMissingError(InputError):
    """The path does not exist.

    Examples:
        >>> from jdsr_cli import InputMissingError, restore
        >>> (result,) = restore(["absent.png"], "results").results
        >>> isinstance(result.error, InputMissingError)
        True

    """


class InputUnreadableError(InputError):
    """The path exists but cannot be opened or listed.

    Examples:
        >>> from jdsr_cli import InputUnreadableError
        >>> print(InputUnreadableError("cannot be read (Permission denied)", where="a.mp4"))
        a.mp4: cannot be read (Permission denied)

    """


class MediaError(InputError):
    """The file can be opened but contains no media that can be decoded.

    Examples:
        >>> from pathlib import Path
        >>> from jdsr_cli import MediaError, restore
        >>> _ = Path("text.png").write_text("no picture")
        >>> (result,) = restore(["text.png"], "results").results
        >>> isinstance(result.error, MediaError)
        True

    """


class TooLargeError(MediaError):
    """Decoding the file would take more memory or time than is allowed.

    Examples:
        >>> from jdsr_cli import ReadSettings, RestoreSettings, TooLargeError, restore
        >>> settings = RestoreSettings(reading=ReadSettings(max_megapixels=0.001))
        >>> (result,) = restore(["photo.png"], "results", settings).results
        >>> isinstance(result.error, TooLargeError)
        True

    """


class DatasetError(InputError):
    """The layout of a training or evaluation set differs from the documented one.

    Examples:
        >>> from jdsr_cli import DatasetError
        >>> DatasetError("no faces in the split test", where="celeba").exit_code
        3

    """


class InsufficientMemoryError(JdsrError, MemoryError):
    """The process has too little memory, for example under a limit of `ulimit` or of a container.

    Examples:
        >>> from jdsr_cli import InsufficientMemoryError
        >>> InsufficientMemoryError("too little memory", where="a.mp4").exit_code
        1

    """


class OutputError(JdsrError, OSError):
    """The output path is full, read-only or in use, or the output cannot be signed.

    Examples:
        >>> from jdsr_cli import OutputError, restore
        >>> try:
        ...     restore(["photo.png"], "photo.png/results")
        ... except OutputError as error:
        ...     print(error.exit_code)
        6

    """

    exit_code = 6


class NotAsRecordedError(JdsrError):
    """A result differs from what was recorded when it was made.

    Examples:
        >>> from pathlib import Path
        >>> from jdsr_cli import CropSettings, NotAsRecordedError, bundle, crop_faces
        >>> _ = crop_faces(["photo.png"], "crops", CropSettings(device="cpu"))
        >>> Path("crops/photo/faces.csv").unlink()
        >>> try:
        ...     bundle(["crops/photo"], "case.zip")
        ... except NotAsRecordedError as error:
        ...     print(error.exit_code, "faces.csv" in error.what)
        7 True

    """

    exit_code = 7


class WeightsError(JdsrError, RuntimeError):
    """A weight file cannot be used.

    Examples:
        >>> from jdsr_cli import RestoreSettings, WeightsError, restore
        >>> try:
        ...     restore(["photo.png"], "results", RestoreSettings(weights="absent.safetensors"))
        ... except WeightsError as error:
        ...     print(error.exit_code)
        5

    """

    exit_code = 5


class WeightsMissingError(WeightsError):
    """The weight file is not on this machine.

    Examples:
        >>> from jdsr_cli import RestoreSettings, WeightsMissingError, restore
        >>> try:
        ...     restore(["photo.png"], "results", RestoreSettings(weights="absent.safetensors"))
        ... except WeightsMissingError as error:
        ...     print("absent.safetensors" in str(error))
        True

    """


class WeightsCorruptError(WeightsError):
    """The bytes or tensors of a weight file differ from those recorded for it.

    Examples:
        >>> from pathlib import Path
        >>> from jdsr_cli import RestoreSettings, WeightsCorruptError, restore
        >>> _ = Path("own.safetensors").write_bytes(b"no weights")
        >>> try:
        ...     restore(["photo.png"], "results", RestoreSettings(weights="own.safetensors"))
        ... except WeightsCorruptError as error:
        ...     print(error.where)
        own.safetensors

    """


class TrainingError(JdsrError, RuntimeError):
    """Training cannot continue: a loss is not finite, or a checkpoint belongs to another run.

    Examples:
        >>> from jdsr_cli import TrainingError
        >>> TrainingError("the loss is not finite", where="joint").exit_code
        1

    """


def one_of(value: str, allowed: tuple[str, ...], where: str) -> None:
    """Check that a value is one of the allowed ones.

    Raises:
        UsageError: It is not.

    """
    if value not in allowed:
        raise UsageError(f"{value!r} is not known", where=where, hint=f"Use {', '.join(allowed)}")


def within(table: Any, low: float, high: float, *names: str) -> None:
    """Check that these numbers of a table, or all numbers of these tuples, are in [low, high].

    Raises:
        UsageError: A number is not.

    """
    for name in names:
        value = getattr(table, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not (low <= number <= high and math.isfinite(number)):
                allowed = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
                raise UsageError(f"{number:g} is out of range, {allowed} is required", where=name)
