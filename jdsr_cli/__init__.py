"""jdsr: restore small and masked faces in surveillance footage.

The public names below are loaded when they are first used, so that importing the package costs
nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from jdsr_cli.errors import (
        DatasetError,
        DeviceError,
        InputError,
        InputMissingError,
        InputUnreadableError,
        JdsrError,
        MediaError,
        OutputError,
        TrainingError,
        UsageError,
        WeightsCorruptError,
        WeightsError,
        WeightsMissingError,
    )
    from jdsr_cli.progress import Progress, Silent
    from jdsr_cli.restoration import Counts, InputResult, RunSummary, crop_faces, restore
    from jdsr_cli.settings import CropSettings, RestoreSettings

_HOMES = {
    "jdsr_cli.errors": (
        "DatasetError",
        "DeviceError",
        "InputError",
        "InputMissingError",
        "InputUnreadableError",
        "JdsrError",
        "MediaError",
        "OutputError",
        "TrainingError",
        "UsageError",
        "WeightsCorruptError",
        "WeightsError",
        "WeightsMissingError",
    ),
    "jdsr_cli.progress": ("Progress", "Silent"),
    "jdsr_cli.restoration": ("Counts", "InputResult", "RunSummary", "crop_faces", "restore"),
    "jdsr_cli.settings": ("CropSettings", "RestoreSettings"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Counts",
    "CropSettings",
    "DatasetError",
    "DeviceError",
    "InputError",
    "InputMissingError",
    "InputResult",
    "InputUnreadableError",
    "JdsrError",
    "MediaError",
    "OutputError",
    "Progress",
    "RestoreSettings",
    "RunSummary",
    "Silent",
    "TrainingError",
    "UsageError",
    "WeightsCorruptError",
    "WeightsError",
    "WeightsMissingError",
    "__version__",
    "crop_faces",
    "restore",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
