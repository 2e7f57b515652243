"""Landmark error against hand-computed distances, through a network whose points are known."""

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


def test_the_error_is_in_per_cent_of_the_distance_of_the_eyes() -> None:
    wanted = torch.zeros(2, 68, 2, dtype=torch.float64)
    wanted[:, 45, 0] = 50.0
    found = wanted.clone()
    found[0] += torch.tensor([3.0, 4.0])  # each point 5 px off, of 50
    found[1, :34, 1] += 2.0  # half of the points 2 px off
    assert normalised_mean_error(found, wanted).tolist() == pytest.approx([10.0, 2.0])
    assert normalised_mean_error(found, torch.zeros_like(wanted)).isnan().all()


def test_points_are_read_as_x_and_y(points: Path) -> None:
    metric = LandmarkMetric(points)
    (found,) = metric.describe(grey(0, 255))
    left, top, side = OnnxLandmarks.window
    middle = left + 0.5 * side - 0.5
    assert found.shape == (2, 68, 2)
    assert found[0, 0].tolist() == pytest.approx([middle, top + 0.5 * side - 0.5], abs=1e-3)
    assert found[1, 0].tolist() == pytest.approx([middle, top + side - 0.5], abs=1e-3)
    assert float(found[0, 36, 0]) == pytest.approx(left + 0.3 * side - 0.5, abs=1e-3)


def test_the_error_between_two_brightnesses(points: Path) -> None:
    metric = LandmarkMetric(points)
    found = metric.compare(metric.describe(grey(51, 102)), metric.describe(grey(102, 102)))
    # 0.2 of red moves every point by 0.1, a quarter of the 0.4 between the eyes.
    assert found.tolist() == pytest.approx([25.0, 0.0], abs=0.01)
    assert "points.onnx" in metric.protocol


def test_files_that_are_no_such_network_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"absent\.onnx"):
        LandmarkMetric(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(WeightsCorruptError, match=r"text\.onnx"):
        LandmarkMetric(tmp_path / "text.onnx")
    five = write_points_onnx(tmp_path / "five.onnx", [0.0] * 10, [0.5] * 10)
    with pytest.raises(WeightsCorruptError, match=r"five\.onnx.*10 numbers, not 136"):
        LandmarkMetric(five)


@pytest.mark.shared
def test_a_real_network_finds_the_eyes(shared: Path, portraits: list) -> None:
    metric = LandmarkMetric(shared / "weights" / "landmarks68_pfld_112.onnx")
    images = torch.from_numpy(np.stack([face.image for face in portraits[::3]]))
    (found,) = metric.describe(images.permute(0, 3, 1, 2).float() / 255)
    for points, face in zip(found, portraits[::3], strict=True):
        eyes = torch.stack([points[36:42].mean(0), points[42:48].mean(0)])
        assert (eyes - torch.from_numpy(face.five[:2])).norm(dim=1).max() < 6
