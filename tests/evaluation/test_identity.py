"""Cosine of identities: alignment, metric and invalid networks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from network_files import Flat, write_torchscript
from skimage.transform import SimilarityTransform
from torch import Tensor

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.evaluation.metrics.identity import IdentityMetric
from jdsr_cli.faces.alignment import TEMPLATE
from jdsr_cli.faces.embedding import ARCFACE_TEMPLATE, to_arcface


@pytest.fixture(scope="module")
def metric(tmp_path_factory: pytest.TempPathFactory) -> IdentityMetric:
    return IdentityMetric(write_torchscript(tmp_path_factory.mktemp("net") / "quadrants.pt"))


def quarters(*colours: tuple[float, float, float]) -> Tensor:
    """An image of four colours, divided at the point that maps to the centre of ArcFace's input."""
    matrix = to_arcface()
    middle = np.linalg.solve(matrix[:, :2], np.array([55.5, 55.5]) - matrix[:, 2])
    x, y = (round(float(v)) for v in middle)
    image = torch.zeros(1, 3, 128, 128)
    parts = ((slice(0, y), slice(0, x)), (slice(0, y), slice(x, 128)),
             (slice(y, 128), slice(0, x)), (slice(y, 128), slice(x, 128)))  # fmt: skip
    for (rows, columns), colour in zip(parts, colours, strict=True):
        image[0, :, rows, columns] = torch.tensor(colour)[:, None, None]
    return image


def test_to_arcface_is_the_least_squares_similarity_of_the_templates() -> None:
    expected = SimilarityTransform.from_estimate(TEMPLATE, ARCFACE_TEMPLATE)
    assert np.allclose(to_arcface(), expected.params[:2], atol=1e-9)
    moved = TEMPLATE @ to_arcface()[:, :2].T + to_arcface()[:, 2]
    assert np.abs(moved - ARCFACE_TEMPLATE).max() < 3.5  # their noses differ most


def test_cosines_of_equal_opposite_and_orthogonal_embeddings(metric: IdentityMetric) -> None:
    light, dark = (0.8, 0.8, 0.8), (0.2, 0.2, 0.2)
    left, right = quarters(light, dark, light, dark), quarters(dark, light, dark, light)
    upper = quarters(light, light, dark, dark)
    truth = metric.features(torch.cat([left, left, left]))
    cosines = metric.compare(metric.features(torch.cat([left, right, upper])), truth)
    assert cosines.shape == (3,)
    assert float(cosines[0]) == pytest.approx(1, abs=1e-6)
    assert float(cosines[1]) == pytest.approx(-1, abs=1e-2)
    assert float(cosines[2]) == pytest.approx(0, abs=5e-2)


def test_the_protocol_names_the_file(metric: IdentityMetric) -> None:
    assert "quadrants.pt" in metric.protocol
    assert "ArcFace" in metric.protocol


def test_invalid_network_files_raise_errors_that_name_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"absent\.pt"):
        IdentityMetric(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(WeightsCorruptError, match=r"text\.pt: is neither an ONNX"):
        IdentityMetric(tmp_path / "text.pt")
    with pytest.raises(WeightsCorruptError, match=r"flat\.pt.*one vector a face"):
        IdentityMetric(write_torchscript(tmp_path / "flat.pt", Flat()))


@pytest.mark.shared
def test_a_real_network_distinguishes_people(shared: Path, portraits: list) -> None:
    metric = IdentityMetric(shared / "weights" / "identity_mobilefacenet_112.torchscript.pt")
    faces = torch.from_numpy(np.stack([face.image for face in portraits]))
    (embeddings,) = metric.features(faces.permute(0, 3, 1, 2).float() / 255)
    cosines = embeddings @ embeddings.T
    same = [cosines[0, 1], cosines[3, 4]]
    assert min(same) > cosines[:3, 3:].max() + 0.2
