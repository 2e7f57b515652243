"""jdsr: restore small and masked faces in surveillance footage.

The public names are loaded when they are first used, so that importing the package is fast.

Examples:
    >>> from jdsr_cli import RestoreSettings, restore
    >>> summary = restore(["photo.png"], "results", RestoreSettings(device="cpu"))
    >>> summary.results[0].counts.faces_restored
    1

"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from jdsr_cli.version import __version__

if TYPE_CHECKING:
    from jdsr_cli.errors import (
        DatasetError,
        DeviceError,
        InputError,
        InputMissingError,
        InputUnreadableError,
        InsufficientMemoryError,
        JdsrError,
        MediaError,
        NotAsRecordedError,
        OutputError,
        TooLargeError,
        TrainingError,
        UsageError,
        WeightsCorruptError,
        WeightsError,
        WeightsMissingError,
    )
    from jdsr_cli.evidence.bundling import (
        bundle,
    )
    from jdsr_cli.evidence.verification import (
        Finding,
        Verification,
        VerifiedResult,
        verify,
    )
    from jdsr_cli.progress import (
        Progress,
        Silent,
    )
    from jdsr_cli.reporting import (
        ReportResult,
        ReportSummary,
        report,
    )
    from jdsr_cli.restoration import (
        Counts,
        InputResult,
        PlannedInput,
        RunPlan,
        RunSummary,
        crop_faces,
        plan_crops,
        plan_restore,
        restore,
    )
    from jdsr_cli.settings import (
        CropSettings,
        ExecutionSettings,
        PrivacySettings,
        ReadSettings,
        RestoreSettings,
    )

_MODULES = {
    "jdsr_cli.errors": (
        "DatasetError",
        "DeviceError",
        "InputError",
        "InputMissingError",
        "InputUnreadableError",
        "InsufficientMemoryError",
        "JdsrError",
        "MediaError",
        "NotAsRecordedError",
        "OutputError",
        "TooLargeError",
        "TrainingError",
        "UsageError",
        "WeightsCorruptError",
        "WeightsError",
        "WeightsMissingError",
    ),
    "jdsr_cli.evidence.bundling": ("bundle",),
    "jdsr_cli.evidence.verification": (
        "Finding",
        "Verification",
        "VerifiedResult",
        "verify",
    ),
    "jdsr_cli.progress": (
        "Progress",
        "Silent",
    ),
    "jdsr_cli.reporting": (
        "ReportResult",
        "ReportSummary",
        "report",
    ),
    "jdsr_cli.restoration": (
        "Counts",
        "InputResult",
        "PlannedInput",
        "RunPlan",
        "RunSummary",
        "crop_faces",
        "plan_crops",
        "plan_restore",
        "restore",
    ),
    "jdsr_cli.settings": (
        "CropSettings",
        "ExecutionSettings",
        "PrivacySettings",
        "ReadSettings",
        "RestoreSettings",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Counts",
    "CropSettings",
    "DatasetError",
    "DeviceError",
    "ExecutionSettings",
    "Finding",
    "InputError",
    "InputMissingError",
    "InputResult",
    "InputUnreadableError",
    "InsufficientMemoryError",
    "JdsrError",
    "MediaError",
    "NotAsRecordedError",
    "OutputError",
    "PlannedInput",
    "PrivacySettings",
    "Progress",
    "ReadSettings",
    "ReportResult",
    "ReportSummary",
    "RestoreSettings",
    "RunPlan",
    "RunSummary",
    "Silent",
    "TooLargeError",
    "TrainingError",
    "UsageError",
    "Verification",
    "VerifiedResult",
    "WeightsCorruptError",
    "WeightsError",
    "WeightsMissingError",
    "__version__",
    "bundle",
    "crop_faces",
    "plan_crops",
    "plan_restore",
    "report",
    "restore",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
