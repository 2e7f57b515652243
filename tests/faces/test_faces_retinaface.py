import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from face_photos import Photo
from facexlib.detection.retinaface import RetinaFace as FacexlibRetinaFace
from facexlib.detection.retinaface_utils import PriorBox

from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.faces.detection.network import Letterbox, NetworkDetector
from jdsr_cli.faces.detection.retinaface import KINDS, RetinaFace, RetinaFaceNet, make_priors
from jdsr_cli.settings import DetectorSettings

CPU = torch.device("cpu")


def facexlib_network(kind: str) -> FacexlibRetinaFace:
    """The package's own class, untrained."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it uses a deprecated parameter
        return FacexlibRetinaFace(kind, device="cpu")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the mobile network, with which faces are detected at many positions."""
    torch.manual_seed(0)
    network = facexlib_network("mobile0.25")
    path = tmp_path_factory.mktemp("retinaface") / "mobile.pth"
    torch.save({f"module.{key}": value for key, value in network.state_dict().items()}, path)
    return path


@pytest.mark.parametrize(
    ("name", "theirs"), [("retinaface-mobile", "mobile0.25"), ("retinaface-r50", "resnet50")]
)
def test_networks_match_the_package(name: str, theirs: str) -> None:
    torch.manual_seed(1)
    reference = facexlib_network(theirs)
    ours = RetinaFaceNet(KINDS[name]).eval()
    ours.load_state_dict(reference.state_dict())
    images = torch.randn(2, 3, 64, 96) * 50
    with torch.no_grad():
        for one, other in zip(ours(images), reference(images), strict=True):
            expected = other[..., 1] if other.shape[-1] == 2 else other
            torch.testing.assert_close(one, expected)


@pytest.mark.parametrize(("width", "height"), [(64, 96), (640, 352), (32, 32)])
def test_priors_match_the_package(width: int, height: int) -> None:
    config = facexlib_network("mobile0.25").cfg
    expected = PriorBox(config, image_size=(height, width)).forward()
    scale = torch.tensor([width, height, width, height])
    torch.testing.assert_close(make_priors(width, height), expected * scale)


def test_decoding_a_batch_matches_the_package(
    untrained: Path, hopper_photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "jdsr_cli.faces.detection.retinaface.OVERLAP", 1.0
    )  # keep all: scores nearly tie
    image = np.ascontiguousarray(hopper_photo.image[100:356, 60:380])
    theirs = facexlib_network("mobile0.25")
    state = torch.load(untrained, weights_only=True)
    theirs.load_state_dict({key.removeprefix("module."): one for key, one in state.items()})
    letterbox = Letterbox.of(320, 256, 1.0)
    network = RetinaFace("retinaface-mobile", untrained, CPU)
    with torch.no_grad():
        rows = theirs.detect_faces(image[..., ::-1], conf_threshold=0.0, nms_threshold=1.0)
    first, second = network.find([image, image[::-1]], letterbox, 0.0)
    assert len(first) > 100
    inside = (rows[:, :2] < (319, 255)).all(axis=1) & (rows[:, 2:4] > 1).all(axis=1)
    for row in rows[inside][::50]:
        points = row[5:].reshape(5, 2) - 0.5
        nearest = min(first, key=lambda face, at=points: np.abs(face.points - at).sum())
        np.testing.assert_allclose(nearest.points, points, atol=0.02)
        box = np.clip(row[:4] - 0.5, 0.0, [319.0, 255.0] * 2)
        np.testing.assert_allclose(nearest.box, box, atol=0.02)
        assert nearest.score == pytest.approx(row[4], abs=1e-4)
    assert [face.box for face in second] != [face.box for face in first]


def test_priors_are_cached_for_a_few_sizes(
    untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[tuple[int, int]] = []

    def counted(width: int, height: int) -> torch.Tensor:
        computed.append((width, height))
        return make_priors(width, height)

    monkeypatch.setattr("jdsr_cli.faces.detection.retinaface.make_priors", counted)
    network = RetinaFace("retinaface-mobile", untrained, CPU)
    for side in (32, 64, 32, 64):
        image = np.zeros((side, side, 3), np.uint8)
        network.find([image], Letterbox.of(side, side, 1.0), 0.9)
    assert computed == [(32, 32), (64, 64)]
    for side in range(96, 96 + 32 * 8, 32):
        network.find([np.zeros((32, side, 3), np.uint8)], Letterbox.of(side, 32, 1.0), 0.9)
    network.find([np.zeros((32, 32, 3), np.uint8)], Letterbox.of(32, 32, 1.0), 0.9)
    assert computed[-1] == (32, 32)
    assert computed.count((32, 32)) == 2


def test_weights_of_another_network_are_refused(untrained: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsCorruptError, match="retinaface-r50"):
        RetinaFace("retinaface-r50", untrained, CPU)
    broken = tmp_path / "broken.pth"
    broken.write_bytes(untrained.read_bytes()[:1000])
    with pytest.raises(WeightsCorruptError, match="weights fetch retinaface-mobile"):
        RetinaFace("retinaface-mobile", broken, CPU)
    list_file = tmp_path / "list.pth"
    torch.save([1, 2, 3], list_file)
    with pytest.raises(WeightsCorruptError):
        RetinaFace("retinaface-mobile", list_file, CPU)
    with pytest.raises(UsageError, match="retinaface-r50"):
        RetinaFace("retinaface", untrained, CPU)


@pytest.mark.shared
@pytest.mark.parametrize("photo", ["astronaut_photo", "hopper_photo"])
@pytest.mark.parametrize("width", [24, 90, 400])
def test_published_weights_detect_the_face(
    photo: str, width: int, request: pytest.FixtureRequest, mobile_weights: Path
) -> None:
    import cv2

    example: Photo = request.getfixturevalue(photo)
    network = RetinaFace("retinaface-mobile", mobile_weights, CPU)
    factor = width / example.width
    image = cv2.resize(example.image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    (faces,) = NetworkDetector(network, DetectorSettings()).detect([image.astype(np.uint8)])
    assert len([face for face in faces if face.width > 0.4 * width]) == 1
    points = (example.points + 0.5) * factor - 0.5
    eyes = np.hypot(*(points[1] - points[0]))
    assert np.hypot(*(faces[0].points - points).T).max() < 0.22 * eyes


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_results_on_gpu_and_cpu_agree(untrained: Path, hopper_photo: Photo) -> None:
    image = hopper_photo.image[:256, :320]
    letterbox = Letterbox.of(320, 256, 1.0)
    on_cpu, on_gpu = (
        RetinaFace("retinaface-mobile", untrained, torch.device(device))
        for device in ("cpu", "cuda")
    )
    best = max(face.score for face in on_cpu.find([image], letterbox, 0.01)[0])
    pair = [one.find([image] * 3, letterbox, 0.9 * best) for one in (on_cpu, on_gpu)]
    assert pair[0][0]
    for one, other in zip(*(faces[2] for faces in pair), strict=True):
        np.testing.assert_allclose(one.box, other.box, atol=0.5)
