"""Every option of every command: type, default, range, unit and help, declared once.

The command line, the arguments of the API, configuration files (``--config``), the settings in a
manifest and the table of options in the documentation are derived from these classes. Importing
them loads nothing but the standard library.
"""

from __future__ import annotations

from jdsr_cli.settings.benchmarking import (
    DETECTOR_BACKENDS,
    GENERATOR_BACKENDS,
    BenchOptions,
    DetectorBenchSettings,
    GeneratorBenchSettings,
    PipelineBenchOptions,
    measured_settings,
)
from jdsr_cli.settings.checking import BundleOptions, VerifyOptions
from jdsr_cli.settings.config import read_config
from jdsr_cli.settings.detection import (
    AUTO,
    MAX_EVERY,
    MAX_LAG,
    MIN_SHARPNESS,
    SEGMENT_STEP,
    BackendName,
    DetectionSettings,
    DetectorName,
    DetectorSettings,
    TrackerSettings,
)
from jdsr_cli.settings.evaluation import EvalSettings
from jdsr_cli.settings.execution import RAY_PORT, ExecutionSettings
from jdsr_cli.settings.options import (
    Declared,
    Option,
    OptionRow,
    Settings,
    build,
    declared,
    in_order,
    option_rows,
)
from jdsr_cli.settings.privacy import PrivacySettings
from jdsr_cli.settings.reading import (
    DEFAULT_FRAME_RATE,
    DEFAULT_MEGAPIXELS,
    Decoder,
    Deinterlacing,
    ReadSettings,
)
from jdsr_cli.settings.restoration import (
    CONFIDENCES,
    ERROR_BOUNDS,
    MAX_FUSED_SHOTS,
    Codec,
    CropOptions,
    CropSettings,
    DemoOptions,
    DemoSettings,
    Precision,
    RestoredPart,
    RestoreOptions,
    RestoreSettings,
    RunOptions,
    TerminalOptions,
    WatchOptions,
)
from jdsr_cli.settings.training import (
    ChainSettings,
    ExportSettings,
    FetchSettings,
    NetworkExportSettings,
    StoredPrecision,
    TrainSettings,
)

__all__ = [
    "AUTO",
    "COMMANDS",
    "CONFIDENCES",
    "DEFAULT_FRAME_RATE",
    "DEFAULT_MEGAPIXELS",
    "DETECTOR_BACKENDS",
    "ERROR_BOUNDS",
    "GENERATOR_BACKENDS",
    "MAX_EVERY",
    "MAX_FUSED_SHOTS",
    "MAX_LAG",
    "MIN_SHARPNESS",
    "RAY_PORT",
    "SEGMENT_STEP",
    "BackendName",
    "BenchOptions",
    "BundleOptions",
    "ChainSettings",
    "Codec",
    "CropOptions",
    "CropSettings",
    "Declared",
    "Decoder",
    "Deinterlacing",
    "DemoOptions",
    "DemoSettings",
    "DetectionSettings",
    "DetectorBenchSettings",
    "DetectorName",
    "DetectorSettings",
    "EvalSettings",
    "ExecutionSettings",
    "ExportSettings",
    "FetchSettings",
    "GeneratorBenchSettings",
    "NetworkExportSettings",
    "Option",
    "OptionRow",
    "PipelineBenchOptions",
    "Precision",
    "PrivacySettings",
    "ReadSettings",
    "RestoreOptions",
    "RestoreSettings",
    "RestoredPart",
    "RunOptions",
    "Settings",
    "StoredPrecision",
    "TerminalOptions",
    "TrackerSettings",
    "TrainSettings",
    "VerifyOptions",
    "WatchOptions",
    "build",
    "declared",
    "in_order",
    "measured_settings",
    "options_of",
    "read_config",
]

COMMANDS: dict[str, tuple[type[Settings], ...]] = {
    "restore": (RestoreOptions, RestoreSettings, ExecutionSettings),
    "crop-faces": (CropOptions, CropSettings, ExecutionSettings),
    "watch": (WatchOptions, RestoreSettings, ExecutionSettings),
    "verify": (VerifyOptions,),
    "bundle": (BundleOptions, TerminalOptions),
    "report": (),
    "demo": (DemoOptions, DemoSettings),
    "train": (TrainSettings, RunOptions),
    "eval": (EvalSettings, TerminalOptions),
    "export": (NetworkExportSettings,),
    "weights fetch": (FetchSettings,),
    "weights export": (ExportSettings,),
    "weights chain": (ChainSettings,),
    "weights list": (),
    "weights verify": (),
    "doctor": (),
    "bench generator": (BenchOptions, GeneratorBenchSettings),
    "bench detector": (BenchOptions, DetectorBenchSettings),
    "bench pipeline": (PipelineBenchOptions, RestoreSettings),
}
"""The settings classes whose options each command has."""


def options_of(command: str) -> list[OptionRow]:
    """Describe the options of a command, for the documentation.

    Args:
        command: Key of `COMMANDS`, such as ``restore`` or ``weights fetch``.

    Returns:
        A row (option, type, default, range, unit, help) for each option, in the order of the help.

    Examples:
        >>> from jdsr_cli.settings import options_of
        >>> options_of("crop-faces")[1]._asdict()  # doctest: +NORMALIZE_WHITESPACE
        {'option': '--size', 'type': 'PX', 'default': '128', 'range': '16 to 1024', 'unit': 'px',
         'help': 'Side of the crops; 128 is the size of the training template.'}

    """
    return option_rows(*COMMANDS[command])
