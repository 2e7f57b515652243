"""Options of `jdsr bench`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from jdsr_cli.errors import UsageError
from jdsr_cli.settings.detection import AUTO, BackendName, DetectionSettings, DetectorName, Device
from jdsr_cli.settings.evaluation import parse_list
from jdsr_cli.settings.options import Option, Settings, declared
from jdsr_cli.settings.restoration import (
    Config,
    CropSettings,
    Precision,
    RestoreSettings,
    TerminalOptions,
    Weights,
)

GENERATOR_BACKENDS: tuple[BackendName, ...] = ("torch", "openvino", "onnx")
"""What can run the generator."""
DETECTOR_BACKENDS: dict[DetectorName, tuple[str, ...]] = {
    "centerface": ("opencv", "openvino"),
    "retinaface-mobile": ("torch",),
    "retinaface-r50": ("torch",),
}
"""What can run each detector."""
DEFAULT_BATCHES = (1, 4, 32)
DEFAULT_SIZES = ("640x360", "1280x720", "1920x1080")
"""Frame sizes on which detectors are timed."""


ListOfNames = tuple[tuple[str, ...], ...]
"""Value of an option that is repeatable and takes names between commas."""


def _names(*known: str) -> Callable[[Any], tuple[str, ...]]:
    """Return a parser of known names between commas."""

    def parse(given: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
        names = parse_list(given)
        if not names or not set(names) <= set(known):
            raise ValueError(given)
        return names

    return parse


def parse_batches(given: str | Sequence[Any]) -> tuple[int, ...]:
    """Read numbers of at least 1 between commas."""
    parts = given.split(",") if isinstance(given, str) else given
    numbers = tuple(int(str(part)) for part in parts)
    if not numbers or min(numbers) < 1:
        raise ValueError(given)
    return numbers


def parse_sizes(given: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Read sizes such as 1280x720 between commas; sides are at least 16 px."""
    sizes = parse_list(given)
    for size in sizes:
        width, height = (int(side) for side in size.split("x"))
        if min(width, height) < 16:
            raise ValueError(given)
    if not sizes:
        raise ValueError(given)
    return sizes


def _list_option(help: str, known: tuple[str, ...], *, name: str, unset: str) -> Option:
    return Option(
        f"{help} Repeatable, or names between commas.",
        name=name, metavar="NAME,...", parse=_names(*known), repeated=True, unset=unset,
        form=f"names among {', '.join(known)}",
    )  # fmt: skip


def _flat(given: tuple[tuple[Any, ...], ...], unset: tuple[Any, ...]) -> tuple[Any, ...]:
    """Join the lists of a repeated option without repetitions; `unset` where there are none."""
    return tuple(dict.fromkeys(value for values in given for value in values)) or unset


Seconds = Annotated[float, Option("Least time of one measurement.", unit="s", low=0.0, high=3600.0)]


@dataclass(frozen=True)
class BenchOptions(TerminalOptions):
    """What every measurement does with its figures."""

    repeat: Annotated[
        int, Option("Measurements; median, lowest and highest are reported.", low=1, high=1000)
    ] = 3
    json_file: Annotated[
        Path | None, Option("Write the report as JSON.", name="json", metavar="FILE")
    ] = None
    baseline: Annotated[
        Path | None,
        Option("Report the ratio of each figure to that of an earlier report.", metavar="FILE"),
    ] = None
    plot: Annotated[Path | None, Option("Draw the figures.", metavar="FILE.png")] = None


@dataclass(frozen=True)
class GeneratorBenchSettings(Settings):
    """What `jdsr bench generator` measures: all combinations."""

    weights: Weights = AUTO
    backends: Annotated[
        ListOfNames,
        _list_option("What runs the generator.", GENERATOR_BACKENDS, name="backend", unset="all"),
    ] = ()
    devices: Annotated[
        ListOfNames,
        Option(
            "Devices: auto, cpu, cuda, cuda:N or mps. Repeatable, or names between commas.",
            name="device", metavar="NAME,...", parse=parse_list, repeated=True, unset=AUTO,
            form="names between commas",
        ),
    ] = ()  # fmt: skip
    precisions: Annotated[
        ListOfNames,
        _list_option("Arithmetic.", get_args(Precision), name="precision", unset=AUTO),
    ] = ()
    batches: Annotated[
        tuple[tuple[int, ...], ...],
        Option(
            "Faces in one batch. Repeatable, or numbers between commas.",
            name="batch", metavar="N,...", parse=parse_batches, repeated=True,
            unset=",".join(map(str, DEFAULT_BATCHES)), form="whole numbers between commas",
        ),
    ] = ()  # fmt: skip
    seconds: Seconds = 0.5

    @property
    def chosen_backends(self) -> tuple[BackendName, ...]:
        """Backends, without repetitions."""
        return _flat(self.backends, GENERATOR_BACKENDS)

    @property
    def chosen_devices(self) -> tuple[str, ...]:
        """Devices, without repetitions."""
        return _flat(self.devices, (AUTO,))

    @property
    def chosen_precisions(self) -> tuple[str, ...]:
        """Precisions, without repetitions."""
        return _flat(self.precisions, (AUTO,))

    @property
    def chosen_batches(self) -> tuple[int, ...]:
        """Batches, without repetitions."""
        return _flat(self.batches, DEFAULT_BATCHES)


@dataclass(frozen=True)
class DetectorBenchSettings(Settings):
    """What `jdsr bench detector` measures: all combinations."""

    detectors: Annotated[
        ListOfNames,
        _list_option("Detectors.", tuple(DETECTOR_BACKENDS), name="detector", unset="all"),
    ] = ()
    backends: Annotated[
        ListOfNames,
        _list_option(
            "What runs them.",
            tuple(dict.fromkeys(one for known in DETECTOR_BACKENDS.values() for one in known)),
            name="backend",
            unset="those of each detector",
        ),
    ] = ()
    sizes: Annotated[
        ListOfNames,
        Option(
            "Sizes of frames. Repeatable, or sizes between commas.",
            name="size", metavar="WxH,...", parse=parse_sizes, repeated=True,
            unset=",".join(DEFAULT_SIZES), form="sizes such as 1280x720 of at least 16x16",
        ),
    ] = ()  # fmt: skip
    boxes: Annotated[
        Path | None,
        Option(
            "Measure the recall on labelled pictures: CSV file beside them with the columns file, "
            "label, xmin, ymin, xmax, ymax.",
            metavar="FILE",
        ),
    ] = None
    pictures: Annotated[
        int | None,
        Option("Use this many evenly spaced labelled pictures.", metavar="N", low=1, unset="all"),
    ] = None
    device: Device = AUTO
    seconds: Seconds = 0.5

    @property
    def chosen_pairs(self) -> tuple[tuple[DetectorName, str], ...]:
        """Detectors with the backend that is measured."""
        return tuple(
            (name, backend)
            for name in _flat(self.detectors, tuple(DETECTOR_BACKENDS))
            for backend in _flat(self.backends, DETECTOR_BACKENDS[name])
        )

    @property
    def chosen_sizes(self) -> tuple[str, ...]:
        """Sizes such as 1280x720, without repetitions."""
        return _flat(self.sizes, DEFAULT_SIZES)


@dataclass(frozen=True)
class PipelineBenchOptions(BenchOptions):
    """Options of `jdsr bench pipeline` beside those of the run."""

    command: Annotated[
        Literal["restore", "crop-faces"], Option("Command whose run is measured.")
    ] = "restore"
    frames: Annotated[
        int | None,
        Option("Measure this many frames.", metavar="N", low=1, unset="the whole clip"),
    ] = None
    config: Config = None


def measured_settings(command: str, given: RestoreSettings) -> DetectionSettings:
    """Return the settings of a measured run, made of the options of `restore`.

    Raises:
        UsageError: An option belongs to `restore` only, or continues an earlier run.

    """
    for name in ("force", "resume", "verify"):
        if getattr(given, name):
            raise UsageError(
                "a measurement begins in an empty folder", where=f"--{name}", hint="Leave it out."
            )
    if command == "restore":
        return given
    shared = {one.name for one in fields(CropSettings)}
    values = {}
    for one in declared(RestoreSettings):
        name, value = one.path[0], getattr(given, one.path[0])
        if value == getattr(RestoreSettings(), name):
            continue
        if name not in shared:
            raise UsageError("crop-faces has no such option", where=one.flag, hint="Leave it out.")
        values[name] = value
    return CropSettings(**values)
