from pathlib import Path

import numpy as np
import pytest
import torch
from network_files import write_torchscript
from torch import Tensor

from jdsr_cli.errors import WeightsMissingError
from jdsr_cli.faces import Detection
from jdsr_cli.faces.display import SQUARE
from jdsr_cli.faces.embedding import FaceEmbedder, RecognitionNetwork


def face(x: float, *, flat: bool = False) -> Detection:
    points = np.array([[47, 50], [62, 50], [54, 59], [48, 66], [61, 66]], np.float32)
    points[:, 0] += x
    if flat:
        points[:] = points[0]
    return Detection((30.0 + x, 30.0, 80.0 + x, 90.0), points, 0.9)


def test_each_face_has_its_own_embedding(tmp_path: Path, astronaut: np.ndarray) -> None:
    embed = FaceEmbedder(write_torchscript(tmp_path / "net.pt"))
    embeddings = embed(astronaut, [face(0), face(25), face(5, flat=True)], SQUARE)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), [1.0, 1.0, 0.0], atol=1e-5)
    assert not np.allclose(embeddings[0], embeddings[1], atol=1e-3)
    np.testing.assert_array_equal(embed(astronaut, [face(25)], SQUARE)[0], embeddings[1])


def test_no_faces_give_no_embeddings(tmp_path: Path, astronaut: np.ndarray) -> None:
    embed = FaceEmbedder(write_torchscript(tmp_path / "net.pt"))
    empty = embed(astronaut, [], SQUARE)
    assert empty.shape == (0, embed(astronaut, [face(0)], SQUARE).shape[1])


def test_missing_network_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match="--identity"):
        FaceEmbedder(tmp_path / "no.pt")


def test_network_receives_rgb_levels(tmp_path: Path) -> None:
    inputs: list[Tensor] = []

    def network(images: Tensor) -> Tensor:
        inputs.append(images)
        return torch.ones(len(images), 2)

    recognition = RecognitionNetwork(write_torchscript(tmp_path / "net.pt"))
    recognition._network = network
    recognition.embed(torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1).expand(1, 3, 128, 128))
    assert inputs[0].shape == (1, 3, 112, 112)
    assert inputs[0].mean(dim=(0, 2, 3)).tolist() == [255, 128, 0]
