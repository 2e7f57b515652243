"""Recognition networks from ONNX files, and files that are no such network."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from network_files import write_points_onnx, write_torchscript

from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.faces.embedding import RecognitionNetwork
from jdsr_cli.inference import backends
from jdsr_cli.inference.models import open_model

SLOPES, OFFSETS = [1.0, -2.0, 0.5], [3.0, 255.0, -40.0]
RED = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1).expand(3, 3, 128, 128)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_points_onnx(tmp_path / "net.onnx", SLOPES, OFFSETS)


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_an_onnx_network_gives_embeddings(
    path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(backends.EXPORTED_BACKENDS[backend])
    monkeypatch.setattr(backends, "is_installed", lambda name: name == backend)
    levels = RED.clone()
    levels[1] = 0.2
    found = RecognitionNetwork(path).embed(levels).numpy()
    raw = np.array([[255.0], [51.0], [255.0]]) * SLOPES + OFFSETS
    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_onnx_network_needs_a_package_that_runs_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "is_installed", lambda _: False)
    with pytest.raises(UsageError, match=r"needs OpenVINO or ONNX Runtime.*jdsr\[cpu\]"):
        RecognitionNetwork(path)


@pytest.mark.parametrize("suffix", [".onnx", ".pt", ".safetensors", ""])
@pytest.mark.parametrize("kind", ["pickle", "state dict", "empty", "text"])
def test_other_files_are_refused_and_not_executed(tmp_path: Path, suffix: str, kind: str) -> None:
    marker, path = tmp_path / "executed", tmp_path / f"net{suffix}"

    class Executed:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (marker,)

    if kind == "state dict":
        torch.save({"a": Executed()}, path)
    else:
        path.write_bytes(
            {"pickle": pickle.dumps(Executed()), "empty": b"", "text": b"x" * 999}[kind]
        )
    with pytest.raises(WeightsCorruptError):
        RecognitionNetwork(path)
    assert not marker.exists()


def test_a_torchscript_network_that_is_called_onnx_is_not_run(tmp_path: Path) -> None:
    path = write_torchscript(tmp_path / "net.pt").rename(tmp_path / "net.onnx")
    with pytest.raises(WeightsCorruptError):
        RecognitionNetwork(path)


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_an_onnx_network_reads_no_other_file(tmp_path: Path, path: Path, backend: str) -> None:
    pytest.importorskip(backends.EXPORTED_BACKENDS[backend])
    onnx = pytest.importorskip("onnx")
    (tmp_path / "secret").write_bytes(bytes(4096))
    model = onnx.load(str(path))
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="secret")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsCorruptError, match="refers to other files"):
        open_model(path, backend)
