import subprocess
import sys

import pytest

import jdsr_cli

NAMES = [
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


def test_public_names_are_pinned() -> None:
    assert jdsr_cli.__all__ == NAMES


def test_every_public_name_exists_and_is_in_dir() -> None:
    for name in NAMES:
        value = getattr(jdsr_cli, name)
        assert name == "__version__" or value.__name__ == name
        assert name in dir(jdsr_cli)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'enhance'"):
        _ = jdsr_cli.enhance  # type: ignore[attr-defined]


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import jdsr_cli, sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "cv2", "av", "numpy", "scipy", "typer"} & set(done.stdout.split())
