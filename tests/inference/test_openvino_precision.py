"""OpenVINO computes as the file says, also on processors that have bfloat16."""

from pathlib import Path

import pytest

from jdsr_cli.faces.detection.centerface import _packaged_file
from jdsr_cli.inference import models


@pytest.mark.parametrize("shape", [(1, 64, 64, 3), (None, None, None, 3)])
def test_no_precision_is_lost(shape: tuple[int | None, ...]) -> None:
    openvino = pytest.importorskip("openvino")
    path = Path(_packaged_file())
    compiled = models._compile(models._receive_bytes(models._read(path)), path, shape)
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
