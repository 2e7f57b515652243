"""Landmark error against hand-computed distances, with a network of known output."""

from pathlib import Path

import numpy as np
import pytest
import torch
from network_files import write_points_onnx
from torch import Tensor

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.evaluation.metrics.landmarks import LandmarkMetric, normalised_mean_error
from jdsr_cli.faces.landmarks import OnnxLandmarks


def grey(*levels: int) -> Tensor:
    return torch.stack([torch.full((3, 128, 128), level / 255) for level in levels])


@pytest.fixture
def points(tmp_path: Path) -> Path:
    """All points at (0.5, 0.5 + mean red / 2), the eye corners 0.4 apart."""
    slopes, offsets = [0.0, 0.5] * 68, [0.5, 0.5] * 68
    offsets[2 * 36], offsets[2 * 45] = 0.3, 0.7
    return write_points_onnx(tmp_path / "points.onnx", slopes, offsets)


def test_the_error_is_relative_to_the_outer_eye_corner_distance() -> None:
    expected = torch.zeros(2, 68, 2, dtype=torch.float64)
    expected[:, 45, 0] = 50.0
    result = expected.clone()
    result[0] += torch.tensor([3.0, 4.0])  # each point 5 px off, of 50
    result[1, :34, 1] += 2.0  # half of the points 2 px off
    assert normalised_mean_error(result, expected).tolist() == pytest.approx([10.0, 2.0])
    assert normalised_mean_error(result, torch.zeros_like(expected)).isnan().all()


def test_network_outputs_are_x_and_y_of_each_point(points: Path) -> None:
    metric = LandmarkMetric(points)
    (result,) = metric.features(grey(0, 255))
    left, top, side = OnnxLandmarks.window
    middle = left + 0.5 * side - 0.5
    assert result.shape == (2, 68, 2)
    assert result[0, 0].tolist() == pytest.approx([middle, top + 0.5 * side - 0.5], abs=1e-3)
    assert result[1, 0].tolist() == pytest.approx([middle, top + side - 0.5], abs=1e-3)
    assert float(result[0, 36, 0]) == pytest.approx(left + 0.3 * side - 0.5, abs=1e-3)


def test_the_metric_compares_restored_points_with_the_truth(points: Path) -> None:
    metric = LandmarkMetric(points)
    result = metric.compare(metric.features(grey(51, 102)), metric.features(grey(102, 102)))
    # 0.2 of red moves every point by 0.1, a quarter of the 0.4 between the eyes.
    assert result.tolist() == pytest.approx([25.0, 0.0], abs=0.01)
    assert "points.onnx" in metric.protocol


def test_invalid_network_files_raise_errors_that_name_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"absent\.onnx"):
        LandmarkMetric(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(WeightsCorruptError, match=r"text\.onnx"):
        LandmarkMetric(tmp_path / "text.onnx")
    five = write_points_onnx(tmp_path / "five.onnx", [0.0] * 10, [0.5] * 10)
    with pytest.raises(WeightsCorruptError, match=r"five\.onnx.*10 numbers, not 136"):
        LandmarkMetric(five)


@pytest.mark.shared
def test_a_real_network_locates_the_eyes(shared: Path, portraits: list) -> None:
    metric = LandmarkMetric(shared / "weights" / "landmarks68_pfld_112.onnx")
    images = torch.from_numpy(np.stack([face.image for face in portraits[::3]]))
    (result,) = metric.features(images.permute(0, 3, 1, 2).float() / 255)
    for points, face in zip(result, portraits[::3], strict=True):
        eyes = torch.stack([points[36:42].mean(0), points[42:48].mean(0)])
        assert (eyes - torch.from_numpy(face.five[:2])).norm(dim=1).max() < 6
