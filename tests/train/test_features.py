"""The frozen features of perceptual and style terms, with random weights of the right layout."""

import hashlib
import urllib.error
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import squeezenet1_1
from torchvision.models.vgg import cfgs, make_layers

from jdsr_cli.errors import InputMissingError, WeightsCorruptError, WeightsMissingError
from jdsr_train import frozen_features, losses
from jdsr_train.frozen_features import (
    SCALES,
    FeatureExtractor,
    SqueezeNetFeatures,
    Vgg16Features,
    load_features,
)

SHARED = Path(__file__).parents[3] / "shared/weights/squeezenet1_1_caffe_bgr.pth"
TRUNK = make_layers(cfgs["D"][:10])
"""torchvision's own VGG-16 up to pool3."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("features") / "squeezenet.pth"
    torch.save(squeezenet1_1(weights=None).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def vgg_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "vgg.pth"
    whole = {f"features.{name}": value for name, value in TRUNK.state_dict().items()}
    whole["features.17.weight"] = torch.zeros(512, 256, 3, 3)
    whole["classifier.0.weight"] = torch.zeros(4, 4)
    torch.save(whole, path)
    return path


@pytest.fixture(scope="module")
def features(weights: Path) -> SqueezeNetFeatures:
    return SqueezeNetFeatures(weights)


@pytest.fixture(scope="module")
def vgg_features(vgg_weights: Path) -> Vgg16Features:
    return Vgg16Features(vgg_weights)


@pytest.fixture(scope="module")
def faces(portraits: list) -> torch.Tensor:
    stacked = torch.stack([torch.from_numpy(face.image.copy()) for face in portraits[::3]])
    return stacked.permute(0, 3, 1, 2).float() / 255


def close(actual: torch.Tensor, expected: torch.Tensor) -> bool:
    return torch.allclose(actual, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_stages_match_the_network_on_bgr_levels(
    weights: Path, features: SqueezeNetFeatures, faces: torch.Tensor
) -> None:
    network = squeezenet1_1(weights=None).eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    blue, green, red = faces[:, 2] * 255 - 104, faces[:, 1] * 255 - 117, faces[:, 0] * 255 - 123
    x = torch.stack([blue, green, red], 1)
    stages = features(faces)
    assert [tuple(stage.shape[1:]) for stage in stages] == [
        (64, 63, 63), (128, 31, 31), (256, 15, 15)
    ]  # fmt: skip
    with torch.no_grad():
        for last, stage in zip((2, 5, 8), stages, strict=True):
            assert close(stage, network.features[:last](x))


def test_squeezenet_maps_are_the_first_three_stages_scaled(
    features: SqueezeNetFeatures, faces: torch.Tensor
) -> None:
    maps = features.maps(faces)
    assert len(maps) == 3
    for level, stage, scale in zip(maps, features(faces), SCALES, strict=False):
        assert torch.allclose(level * scale, stage)


def test_vgg_maps_are_the_pooling_outputs_on_standardised_colours(
    vgg_features: Vgg16Features, faces: torch.Tensor
) -> None:
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    x = (faces - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    maps = vgg_features.maps(faces)
    assert [tuple(level.shape[1:]) for level in maps] == [
        (64, 64, 64), (128, 32, 32), (256, 16, 16)
    ]  # fmt: skip
    with torch.no_grad():
        for last, level in zip((5, 10, 17), maps, strict=True):
            assert close(level, TRUNK[:last](x))


def test_vgg_parameters_and_multiply_adds_match_the_specification(vgg_weights: Path) -> None:
    extractor = Vgg16Features(vgg_weights)
    assert sum(weight.numel() for weight in extractor.parameters()) == 1_735_488
    with torch.device("meta"):
        trunk = frozen_features.vgg16_trunk()
    for side, cost in ((128, 3.048), (32, 0.191)):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            trunk(torch.zeros(1, 3, side, side, device="meta"))
        assert counter.get_total_flops() / 2e9 == pytest.approx(cost, abs=0.0005)


@pytest.mark.parametrize("kind", ["features", "vgg_features"])
def test_perceptual_loss_is_zero_for_equal_images_and_grows_with_the_error(
    kind: str, request: pytest.FixtureRequest, faces: torch.Tensor
) -> None:
    extractor: FeatureExtractor = request.getfixturevalue(kind)
    truth = extractor.maps(faces)
    assert float(losses.perceptual_loss(truth, truth)) == 0
    noise = torch.randn(faces.shape, generator=torch.Generator().manual_seed(0))
    near, far = (
        float(losses.perceptual_loss(extractor.maps(faces + strength * noise), truth))
        for strength in (0.02, 0.1)
    )
    assert 0 < near < far


@pytest.mark.parametrize("kind", ["features", "vgg_features"])
@pytest.mark.parametrize("term", ["perceptual", "style"])
def test_gradient_reaches_the_image_but_neither_the_weights_nor_the_truth(
    kind: str, term: str, request: pytest.FixtureRequest, faces: torch.Tensor
) -> None:
    extractor: FeatureExtractor = request.getfixturevalue(kind)
    image, truth = (faces * 0.9).requires_grad_(), faces.clone().requires_grad_()
    compare = losses.perceptual_loss if term == "perceptual" else losses.style_loss
    compare(extractor.maps(image), extractor.maps(truth)).backward()
    assert image.grad is not None
    assert float(image.grad.abs().sum()) > 0
    assert truth.grad is None
    assert not any(weight.requires_grad for weight in extractor.parameters())
    assert all(weight.grad is None for weight in extractor.parameters())
    assert not extractor.training


def test_half_precision_gives_nearly_the_same_in_float32(
    weights: Path, features: SqueezeNetFeatures, faces: torch.Tensor
) -> None:
    half = SqueezeNetFeatures(weights, half=True)
    assert all(stage.dtype == torch.float32 for stage in half(faces))
    full, reduced = (
        losses.perceptual_loss(extractor.maps(faces * 0.8), extractor.maps(faces))
        for extractor in (features, half)
    )
    assert float(reduced) == pytest.approx(float(full), rel=0.05)


def test_full_precision_is_kept_under_autocast(
    features: SqueezeNetFeatures, faces: torch.Tensor
) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        maps = features.maps(faces)
    assert all(torch.equal(a, b) for a, b in zip(maps, features.maps(faces), strict=True))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    for make in (SqueezeNetFeatures, Vgg16Features, load_features):
        with pytest.raises(InputMissingError, match=r"absent\.pth: no feature weights"):
            make(tmp_path / "absent.pth")


def test_files_without_the_network_are_refused(tmp_path: Path, weights: Path) -> None:
    path = tmp_path / "other.pth"
    state = torch.load(weights, weights_only=True)
    state.pop("features.0.weight")
    torch.save(state, path)
    for content in (None, b"not weights at all", b""):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(WeightsCorruptError, match="not a state dict"):
            SqueezeNetFeatures(path)
        with pytest.raises(WeightsCorruptError, match="not a state dict"):
            load_features(path)


def test_files_that_are_not_tensors_by_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.pth"
    for content in ([torch.zeros(1)], {"epoch": 3}, {}):
        torch.save(content, path)
        with pytest.raises(WeightsCorruptError, match="not a state dict"):
            load_features(path)


def test_vgg_19_is_refused(tmp_path: Path, vgg_weights: Path) -> None:
    state = torch.load(vgg_weights, weights_only=True)
    state["features.16.weight"] = torch.zeros(256, 256, 3, 3)
    torch.save(state, tmp_path / "vgg19.pth")
    with pytest.raises(WeightsCorruptError, match=r"vgg19\.pth: not a state dict"):
        load_features(tmp_path / "vgg19.pth")


def test_the_tensors_of_a_file_determine_the_network(
    tmp_path: Path, weights: Path, vgg_weights: Path
) -> None:
    squeezenet = load_features(weights, half=True)
    assert isinstance(squeezenet, SqueezeNetFeatures)
    assert squeezenet.half_precision
    assert squeezenet.name == "SqueezeNet 1.1 (squeezenet.pth)"
    assert "SqueezeNet" in str(squeezenet.deviation)
    trimmed = {f"features.{name}": value for name, value in TRUNK.state_dict().items()}
    safetensors.torch.save_file(trimmed, tmp_path / "a.safetensors")
    for path in (vgg_weights, str(tmp_path / "a.safetensors")):
        loaded = load_features(path)
        assert isinstance(loaded, Vgg16Features)
        assert loaded.name == f"VGG-16 ({Path(path).name})"
        assert "not torchvision's file" in str(loaded.deviation)
        assert torch.equal(loaded.stages[2][4].weight, TRUNK[14].weight)


def test_torchvisions_file_is_fetched_once_and_is_not_a_deviation(
    tmp_path: Path, vgg_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = vgg_weights.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:8]
    downloads: list[tuple[str, str]] = []

    def download(url: str, path: Path, start: str) -> None:
        downloads.append((url, start))
        path.parent.mkdir(parents=True)
        path.write_bytes(content)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(frozen_features, "download_file", download)
    monkeypatch.setattr(frozen_features, "URL", f"https://models.example/vgg16-{digest}.pth")
    with pytest.raises(WeightsMissingError, match=r"not on this machine.*--features vgg16"):
        load_features(None)
    assert downloads == []
    for source in ("vgg16", "vgg16", None):
        extractor = load_features(source)
        assert extractor.deviation is None
        assert extractor.name == f"VGG-16 (vgg16-{digest}.pth)"
    assert downloads == [(f"https://models.example/vgg16-{digest}.pth", digest)]


def test_the_error_for_a_failed_fetch_states_path_and_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(frozen_features, "download_file", download)
    with pytest.raises(WeightsMissingError, match="cannot be fetched") as caught:
        load_features(Path("vgg16"))
    path = tmp_path / "hub/checkpoints/vgg16-397923af.pth"
    assert caught.value.where == str(path)
    assert "https://download.pytorch.org/models/vgg16-397923af.pth" in str(caught.value)
    assert "--features FILE" in str(caught.value)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_file(), reason="no ../shared/weights")
def test_real_features_of_a_face_have_a_mean_near_one(faces: torch.Tensor) -> None:
    maps = load_features(SHARED).maps(faces)
    for level in maps:
        assert 0.5 < float(level.abs().mean()) < 2
