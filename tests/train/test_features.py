"""The frozen features of the perceptual term, with random weights of the right layout."""

from pathlib import Path

import pytest
import torch
from torchvision.models import squeezenet1_1

from jdsr_cli.errors import InputMissingError, WeightsCorruptError
from jdsr_train.features import SqueezeNetFeatures


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("features") / "squeezenet.pth"
    torch.save(squeezenet1_1(weights=None).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def features(weights: Path) -> SqueezeNetFeatures:
    return SqueezeNetFeatures(weights)


@pytest.fixture(scope="module")
def faces(portraits: list) -> torch.Tensor:
    stacked = torch.stack([torch.from_numpy(face.image.copy()) for face in portraits[::3]])
    return stacked.permute(0, 3, 1, 2).float() / 255


def test_stages_are_those_of_the_network_on_bgr_levels(
    weights: Path, features: SqueezeNetFeatures, faces: torch.Tensor
) -> None:
    network = squeezenet1_1(weights=None).eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    blue, green, red = faces[:, 2] * 255 - 104, faces[:, 1] * 255 - 117, faces[:, 0] * 255 - 123
    x = torch.stack([blue, green, red], 1)
    found = features(faces)
    assert [tuple(stage.shape[1:]) for stage in found] == [
        (64, 63, 63), (128, 31, 31), (256, 15, 15), (384, 7, 7)
    ]  # fmt: skip
    with torch.no_grad():
        for last, stage in zip((2, 5, 8, 10), found, strict=True):
            wanted = network.features[:last](x)
            assert torch.allclose(stage, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def test_distance_is_zero_for_equal_images_and_grows_with_the_error(
    features: SqueezeNetFeatures, faces: torch.Tensor
) -> None:
    assert float(features.distance(faces, faces)) == 0
    noise = torch.randn(faces.shape, generator=torch.Generator().manual_seed(0))
    near, far = (float(features.distance(faces + s * noise, faces)) for s in (0.02, 0.1))
    assert 0 < near < far


def test_gradient_reaches_the_image_but_neither_the_weights_nor_the_truth(
    features: SqueezeNetFeatures, faces: torch.Tensor
) -> None:
    image, truth = (faces * 0.9).requires_grad_(), faces.clone().requires_grad_()
    features.distance(image, truth).backward()
    assert image.grad is not None
    assert float(image.grad.abs().sum()) > 0
    assert truth.grad is None
    assert not any(weight.requires_grad for weight in features.parameters())
    assert all(weight.grad is None for weight in features.parameters())
    assert not features.training


def test_half_precision_gives_nearly_the_same_in_float32(
    weights: Path, features: SqueezeNetFeatures, faces: torch.Tensor
) -> None:
    half = SqueezeNetFeatures(weights, half=True)
    assert all(stage.dtype == torch.float32 for stage in half(faces))
    exact, rough = features.distance(faces * 0.8, faces), half.distance(faces * 0.8, faces)
    assert float(rough) == pytest.approx(float(exact), rel=0.05)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match=r"absent\.pth: no feature weights"):
        SqueezeNetFeatures(tmp_path / "absent.pth")


def test_other_files_are_refused(tmp_path: Path, weights: Path) -> None:
    path = tmp_path / "other.pth"
    state = torch.load(weights, weights_only=True)
    state.pop("features.0.weight")
    torch.save(state, path)
    for content in (None, b"not weights at all", b""):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(WeightsCorruptError, match="not a state dict"):
            SqueezeNetFeatures(path)
