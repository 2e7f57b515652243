"""Face detectors, and the factory that creates one by name."""

from __future__ import annotations

from typing import get_args

from jdsr_cli.errors import UsageError, WeightsMissingError
from jdsr_cli.faces.detection.base import Detector
from jdsr_cli.faces.detection.centerface import CenterFace
from jdsr_cli.faces.detection.network import NetworkDetector
from jdsr_cli.inference.backends import resolve_backend
from jdsr_cli.settings import DetectorName, DetectorSettings
from jdsr_cli.weights import auxiliary

MEASURED_RECALL = {"centerface": 0.769, "retinaface-mobile": 0.678}
"""Share of 451 faces of 10 px and wider in 100 street pictures, most of them masked, that are found
(intersection over union of at least 0.4) at the threshold that gives 0.1 false boxes a picture.

`tests/benchmarks/detector_recall.py` measures it. `retinaface-r50` was not measured, so `auto` does
not choose it.
"""


def create_detector(
    name: DetectorName = "auto", settings: DetectorSettings | None = None
) -> Detector:
    """Create a detector; its `name` is that of the detector chosen by `auto`.

    Args:
        name: See `DetectorName`.
        settings: Thresholds, scale and device.

    Raises:
        UsageError: There is no such detector.
        WeightsMissingError: Its weights are not on this machine.
        WeightsCorruptError: The weights are damaged or altered; `auto` raises it too instead of
            falling back to another detector.
        DeviceError: The device is not on this machine.

    """
    chosen = settings or DetectorSettings()
    if name not in get_args(DetectorName):
        raise UsageError(
            f"no detector is called {name!r}", hint=f"Use {', '.join(get_args(DetectorName))}."
        )
    if name != "auto":
        return _make(name, chosen)
    missing: WeightsMissingError | None = None
    for candidate in sorted(MEASURED_RECALL, key=MEASURED_RECALL.__getitem__, reverse=True):
        try:
            return _make(candidate, chosen)
        except WeightsMissingError as error:
            missing = missing or error
    assert missing is not None
    raise missing


def _make(name: str, settings: DetectorSettings) -> Detector:
    if name == "centerface":
        backend = resolve_backend(settings.backend, "cpu", ("openvino",))
        return NetworkDetector(
            CenterFace(backend="openvino" if backend == "openvino" else "opencv"), settings
        )
    path = auxiliary(name)
    # torch, torchvision and facexlib take seconds to import and are not needed for CenterFace.
    from jdsr_cli.faces.detection.retinaface import RetinaFace
    from jdsr_cli.weights import resolve_device

    return NetworkDetector(RetinaFace(name, path, resolve_device(settings.device)), settings)
