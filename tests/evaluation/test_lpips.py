"""LPIPS against torchmetrics with the same random trunk, and invalid files."""

from pathlib import Path

import pytest
import torch
import torchmetrics.functional.image.lpips
from torch import Tensor
from torchmetrics.functional.image.lpips import _NoTrainLpips
from torchvision import models

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.evaluation.metrics import lpips
from jdsr_cli.evaluation.metrics.lpips import (
    CAFFE_MEAN_BGR,
    IMAGENET_MEAN,
    IMAGENET_STD,
    TRUNKS,
    LpipsMetric,
    identify_trunk,
)
from jdsr_cli.weights import sha256_of

NAMES = {"alex": "alexnet", "squeeze": "squeezenet1_1"}


def trunk(name: str) -> dict[str, Tensor]:
    """State of a trunk with random weights, without its classifier."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        state = models.get_model(NAMES[name], weights=None).features.state_dict()
    return {
        f"features.{key}": torch.randn(one.shape, generator=generator) / one[0].numel() ** 0.5
        for key, one in state.items()
    }


@pytest.fixture(scope="module")
def squeeze(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trunks") / "squeeze.pth"
    torch.save(trunk("squeeze"), path)
    return path


@pytest.fixture(scope="module")
def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand(2, 3, 64, 64, generator=generator)
    other = (truth + 0.2 * torch.rand(2, 3, 64, 64, generator=generator)).clamp(0, 1)
    return other, truth


@pytest.mark.parametrize(("name", "depth"), [("alex", 1), ("squeeze", 2)])
def test_agreement_with_torchmetrics(
    name: str, depth: int, tmp_path: Path, pictures: tuple[Tensor, Tensor]
) -> None:
    state = trunk(name)
    torch.save(state, tmp_path / "trunk.pth")
    metric = LpipsMetric(tmp_path / "trunk.pth")
    theirs = _NoTrainLpips(net=name, pnet_rand=True)
    with torch.no_grad():
        for parameter, value in theirs.net.named_parameters():
            value.copy_(state[f"features.{parameter.split('.', depth)[-1]}"])
        expected = theirs(*pictures, normalize=True).flatten()
    distances = metric.compare(*(metric.features(one) for one in pictures))
    assert metric.trunk.name == name
    assert distances.shape == (2,)
    assert torch.allclose(distances, expected.double(), rtol=1e-4, atol=1e-8)
    assert float(distances.min()) > 0


def test_equal_images_have_distance_0(squeeze: Path, pictures: tuple[Tensor, Tensor]) -> None:
    metric = LpipsMetric(squeeze)
    features = metric.features(pictures[0])
    assert metric.compare(features, features).tolist() == [0, 0]


def test_a_caffe_trunk_receives_bgr_levels(
    squeeze: Path, tmp_path: Path, pictures: tuple[Tensor, Tensor]
) -> None:
    """A first layer converted to BGR levels gives the output of the original RGB layer."""
    state = torch.load(squeeze, weights_only=True)
    mean, std = (torch.tensor(v) for v in (IMAGENET_MEAN, IMAGENET_STD))
    weight = state["features.0.weight"]
    caffe = weight / (255 * std.view(1, 3, 1, 1))
    shift = (torch.tensor(CAFFE_MEAN_BGR).flip(0) / 255 - mean) / std
    state["features.0.weight"] = caffe.flip(1)
    state["features.0.bias"] = state["features.0.bias"] + (weight.sum((2, 3)) * shift).sum(1)
    torch.save(state, tmp_path / "squeeze_Caffe.pth")
    rgb, bgr = LpipsMetric(squeeze), LpipsMetric(tmp_path / "squeeze_Caffe.pth")
    for one, other in zip(rgb.features(pictures[0]), bgr.features(pictures[0]), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-4)
    assert "BGR" in bgr.protocol
    assert "BGR" not in rgb.protocol


def test_the_protocol_reports_an_unpublished_trunk(
    squeeze: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = LpipsMetric(squeeze)
    assert "NOT torchvision's" in metric.protocol
    monkeypatch.setattr(lpips, "published_url", lambda trunk: f"x/n-{sha256_of(squeeze)[:8]}.pth")
    assert "torchvision's published trunk" in metric.protocol


def test_the_trunk_is_identified_by_its_tensors(tmp_path: Path) -> None:
    with torch.device("meta"):
        states = {one.name: models.get_model(one.model).state_dict() for one in TRUNKS}
    for name, state in states.items():
        assert identify_trunk(tmp_path, state).name == name
    with pytest.raises(WeightsCorruptError, match="alexnet, vgg16 or squeezenet1_1"):
        identify_trunk(tmp_path, {"weight": torch.zeros(1)})


def test_invalid_files_raise_errors_that_name_them(squeeze: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"absent\.pth"):
        LpipsMetric(tmp_path / "absent.pth")
    (tmp_path / "text.pth").write_text("no state dict")
    with pytest.raises(WeightsCorruptError, match=r"text\.pth"):
        LpipsMetric(tmp_path / "text.pth")
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(WeightsCorruptError, match=r"list\.pth.*not a state dict"):
        LpipsMetric(tmp_path / "list.pth")
    state = torch.load(squeeze, weights_only=True)
    torch.save({k: v for k, v in state.items() if "expand3x3" not in k}, tmp_path / "part.pth")
    with pytest.raises(WeightsCorruptError, match=r"part\.pth.*squeezenet1_1"):
        LpipsMetric(tmp_path / "part.pth")
    heads = {f"lin{depth}.model.1.weight": torch.ones(1, 8, 1, 1) for depth in range(7)}
    torch.save(heads, tmp_path / "heads.pth")
    with pytest.raises(WeightsCorruptError, match=r"heads\.pth.*squeezenet1_1"):
        LpipsMetric(squeeze, tmp_path / "heads.pth")


def test_heads_can_be_read_from_a_file(
    squeeze: Path, tmp_path: Path, pictures: tuple[Tensor, Tensor]
) -> None:
    shipped = LpipsMetric(squeeze)
    sizes = [part.shape[1] for part in shipped.features(pictures[0])]
    heads = {f"lin{n}.model.1.weight": torch.ones(1, c, 1, 1) for n, c in enumerate(sizes)}
    torch.save(heads, tmp_path / "heads.pth")
    metric = LpipsMetric(squeeze, tmp_path / "heads.pth")
    restored, truth = (metric.features(one) for one in pictures)
    by_definition = sum(
        ((one - other) ** 2).sum(1).mean((1, 2)) for one, other in zip(restored, truth, strict=True)
    )
    assert torch.allclose(metric.compare(restored, truth), by_definition.double())
    assert "heads.pth" in metric.protocol


@pytest.mark.parametrize("name", ["alex", "vgg", "squeeze"])
def test_the_published_heads_equal_those_of_torchmetrics(name: str) -> None:
    folder = Path(torchmetrics.functional.image.lpips.__file__).with_name("lpips_models")
    theirs = torch.load(folder / f"{name}.pth", map_location="cpu", weights_only=True)
    (trunk,) = (one for one in TRUNKS if one.name == name)
    ours = lpips.read_heads(None, trunk)
    assert len(ours) == len(theirs) == len(trunk.ends)
    for depth, head in enumerate(ours):
        assert torch.equal(head, theirs[f"lin{depth}.model.1.weight"][0])


def test_a_failed_download_gives_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(lpips, "download_file", fail)
    with pytest.raises(WeightsMissingError, match=r"alexnet.*no route.*--lpips FILE"):
        LpipsMetric("download")
    cached = tmp_path / "checkpoints" / Path(lpips.published_url(TRUNKS[0])).name
    cached.parent.mkdir()
    torch.save(trunk("alex"), cached)
    assert LpipsMetric("download").trunk.name == "alex"
