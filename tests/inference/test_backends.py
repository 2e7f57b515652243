"""Backends of exported networks: choice, agreement with torch, and errors."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.faces.detection.centerface import _packaged_file
from jdsr_cli.inference import backends
from jdsr_cli.inference.backends import (
    cpu_threads,
    resolve_backend,
    resolve_device_name,
    single_threads,
)
from jdsr_cli.inference.generator import ExportedGenerator
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.inference.models import COMPILED_FROM, OpenVinoImageModel
from jdsr_cli.inference.torch_generator import fold_batch_normalisation
from jdsr_cli.weights import locate
from jdsr_cli.weights.registry import entry, verify_export

COMPARED = """
import json
import cv2
import numpy as np
from skimage.data import astronaut
from jdsr_cli.faces import create_detector
from jdsr_cli.faces.occlusion import MaskCalibration
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.settings import DetectorSettings

face = cv2.resize(astronaut()[70:190, 165:285], (128, 128), interpolation=cv2.INTER_CUBIC)
masked = face.copy()
masked[70:, 20:108] = (90, 130, 170)
crops = np.stack([face, masked, face[:, ::-1]])
kinds = {"torch": "float32", "openvino": "int8", "onnx": "int8"}
opened = {name: open_generator("lite-camera", "cpu", kind, name) for name, kind in kinds.items()}
found = {name: one.restore(crops) for name, one in opened.items()}
alone = opened["openvino"].restore(crops[1:2])
calibration = MaskCalibration.of(opened["torch"].entry)
boxes = [
    [face.box for face in create_detector("centerface", DetectorSettings(backend=name))
     .detect([astronaut()])[0]]
    for name in ("openvino", "torch")
]
error = {
    name: float(np.mean((one.images.astype(float) - found["torch"].images) ** 2))
    for name, one in found.items()
}
apart = np.abs(found["openvino"].images.astype(int) - found["onnx"].images)
print(json.dumps({
    "precision": [one.precision for one in opened.values()],
    "error": error,
    "apart": float((apart > 2).mean()),
    "same_alone": bool((alone.images[0] == found["openvino"].images[1]).all()),
    "masked": {
        name: [calibration.probability(map / np.float32(255), 1.0) > 0.5
               for map in one.occlusions]
        for name, one in found.items()
    },
    "boxes": boxes,
}, default=bool))
"""


def test_exported_networks_agree_with_torch_in_every_backend() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    command = [sys.executable, "-c", COMPARED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["precision"] == ["float32", "int8", "int8"]
    assert result["error"]["openvino"] < 6.5  # 40 dB
    assert result["error"]["onnx"] < 6.5
    assert result["apart"] < 0.001
    assert result["same_alone"]
    assert result["masked"]["openvino"] == result["masked"]["torch"] == result["masked"]["onnx"]
    np.testing.assert_allclose(*result["boxes"], atol=0.01)


SIGNALLED = """
import faulthandler, os, signal
faulthandler.enable()
from jdsr_cli.faces.detection.centerface import CenterFace
from jdsr_cli.inference.loading import open_generator
handled = []
signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))
for count in range(1, 4):
    detector = CenterFace(backend="openvino")
    generator = open_generator("lite-camera", "cpu", "int8", "openvino")
    del detector
    os.kill(os.getpid(), signal.SIGUSR1)
    del generator
    os.kill(os.getpid(), signal.SIGUSR1)
    if not os.fork():
        signal.raise_signal(signal.SIGUSR1)
        os._exit(0)
    assert os.wait()[1] == 0
    assert len(handled) == 2 * count
"""


def test_signals_are_handled_after_networks_were_opened_and_closed() -> None:
    pytest.importorskip("openvino")
    command = [sys.executable, "-c", SIGNALLED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [(("openvino", "onnx"), "openvino"), (("onnx",), "onnx"), ((), "torch")],
)
def test_auto_takes_the_first_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], chosen: str
) -> None:
    monkeypatch.setattr(backends, "is_installed", lambda name: name in installed)
    assert resolve_backend("auto", "cpu") == chosen
    assert resolve_backend("auto", "cuda") == "torch"
    assert resolve_backend("auto", "cpu", ()) == "torch"
    assert resolve_backend("torch", "cpu") == "torch"


def test_a_backend_that_cannot_run_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "is_installed", lambda name: name == "onnx")
    with pytest.raises(UsageError, match="not installed"):
        resolve_backend("openvino", "cpu")
    with pytest.raises(UsageError, match="not on cuda:0"):
        resolve_backend("onnx", "cuda:0")


def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cpu_threads() == 3
    for wrong in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", wrong)
        assert cpu_threads() >= 1


def test_the_cpu_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_may_have_gpu", lambda: False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert resolve_device_name("auto") == resolve_device_name("cpu") == "cpu"


def test_a_file_that_is_no_generator_is_corrupt(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(locate(entry("lite-camera")).read_bytes()[:1000])
    with pytest.raises(WeightsCorruptError, match="is not a network"):
        ExportedGenerator(damaged, "onnx", None)


def test_an_altered_export_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listed = entry("lite-camera")
    path = verify_export(listed, "int8")
    assert path is not None
    assert verify_export(listed, "float32") is None
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    (tmp_path / path.name).write_bytes(data)
    monkeypatch.setenv("JDSR_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsCorruptError, match="SHA-256"):
        verify_export(listed, "int8")


def test_int8_needs_an_export() -> None:
    with pytest.raises(UsageError, match="int8"):
        open_generator("lite-x4", "cpu", "int8", "torch")


def test_an_exported_file_does_not_run_in_torch() -> None:
    path = verify_export(entry("lite-camera"), "int8")
    with pytest.raises(UsageError, match="not in torch"):
        open_generator(str(path), "cpu", backend="torch")


def test_batch_normalisation_is_folded() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    network[1].running_mean.uniform_(-1, 1)
    network[1].running_var.uniform_(0.5, 2)
    given = torch.rand(2, 3, 8, 8)
    folded = fold_batch_normalisation(network)
    assert not any(isinstance(one, nn.BatchNorm2d) for one in folded.modules())
    assert any(isinstance(one, nn.BatchNorm2d) for one in network.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(given), network(given), atol=1e-5, rtol=1e-5)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3))
    assert fold_batch_normalisation(plain) is plain


def test_a_network_for_any_size_answers_the_same_before_and_after_it_is_compiled() -> None:
    model = OpenVinoImageModel(_packaged_file())
    random = np.random.default_rng(5)
    shapes = [(64, 96), (128, 128), (320, 256)]
    batches = [random.integers(0, 256, (1, *one, 3), np.uint8) for one in shapes]
    first = [model.run(batch) for batch in batches]
    for _ in range(COMPILED_FROM + 1):  # Each compilation frees the buffers of the first request.
        for batch, expected in zip(batches, first, strict=True):
            for one, other in zip(model.run(batch), expected, strict=True):
                np.testing.assert_allclose(one, other, atol=1e-3)
    other_size = model.run(np.zeros((2, 32, 160, 3), np.uint8))
    assert other_size[0].shape == (2, 1, 8, 40)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_buffers_for_large_pictures_are_freed_when_their_size_is_compiled() -> None:
    pytest.importorskip("openvino")
    code = """
import numpy as np
from jdsr_cli.faces.detection.centerface import _packaged_file
from jdsr_cli.inference.models import COMPILED_FROM, OpenVinoImageModel

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20

model = OpenVinoImageModel(_packaged_file())
batch = np.zeros((1, 1088, 1920, 3), np.uint8)
held = []
for _ in range(COMPILED_FROM + 1):
    model.run(batch)
    held.append(resident())
print(max(held[COMPILED_FROM:]) - held[0])
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    assert int(run.stdout) < 150  # With the buffers of both, 300 to 400.


def blas_threads() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


@pytest.mark.parametrize("before", [1, 2, 3])
def test_products_of_numpy_have_one_thread_during_a_run(before: int) -> None:
    with threadpool_limits(before, user_api="blas"):
        with single_threads():
            assert blas_threads() == {1}
        assert blas_threads() == {before}
        with pytest.raises(KeyError), single_threads():
            raise KeyError
        assert blas_threads() == {before}
