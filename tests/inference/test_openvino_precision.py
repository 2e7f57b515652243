"""OpenVINO computes as the file says, also on processors that have bfloat16."""

from pathlib import Path

import pytest

from jdsr_cli.faces.detection.centerface import _packaged_file
from jdsr_cli.inference import models
from jdsr_cli.inference.backends import enough_for_cpu


@pytest.mark.parametrize("shape", [(1, 64, 64, 3), (1, 320, 256, 3), (None, None, None, 3)])
def test_no_precision_is_lost(shape: tuple[int | None, ...]) -> None:
    openvino = pytest.importorskip("openvino")
    path = Path(_packaged_file())
    compiled = models._compile(models._receive_bytes(models._read(path)), path, shape)
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32


def test_a_generator_computes_as_its_file_says() -> None:
    openvino = pytest.importorskip("openvino")
    path = Path(__file__).parents[2] / "weights" / "lite-camera-int8.onnx"
    model = models.OpenVinoModel(path)
    assert model._compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32


@pytest.mark.parametrize(("threads", "faces"), [("1", 8), ("2", 8), ("8", 32)])
def test_a_batch_on_a_cpu_has_no_more_faces_than_gain_time(
    monkeypatch: pytest.MonkeyPatch, threads: str, faces: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert enough_for_cpu() == faces
