"""Networks that label faces: landmarks in pixels of the face, parts in eleven classes."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from celeba_folder import write_celeba
from network_files import write_points_onnx
from numpy.typing import NDArray

from jdsr_cli.datasets import preparation
from jdsr_cli.datasets.cropping import PrepareSettings
from jdsr_cli.datasets.landmark_networks import (
    WFLW_TO_IBUG,
    FanLandmarks,
    open_landmarks,
    peaks,
    to_ibug,
)
from jdsr_cli.datasets.preparation import PreparedSets, open_faces, prepare
from jdsr_cli.datasets.shards import ShardTask, label_shard, read_shard
from jdsr_cli.errors import (
    DatasetError,
    UsageError,
    WeightsCorruptError,
    WeightsError,
    WeightsMissingError,
)
from jdsr_cli.faces.landmarks import OnnxLandmarks
from jdsr_train.data.labels import PARSING_CLASSES
from jdsr_train.data.part_labellers import (
    _BISENET_TO_11,
    FacexlibParser,
    TrainedParser,
    TrainedParserLabels,
    label_source,
)
from jdsr_train.networks import Parser

POINTS_FILE = Path(__file__).parents[3] / "shared/weights/landmarks68_pfld_112.onnx"
DATA = Path(__file__).parents[3] / "shared/data/faces128"


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the weights of other projects unavailable."""
    monkeypatch.delenv("JDSR_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    monkeypatch.setattr("jdsr_cli.weights.locations.PACKAGE_FOLDER", tmp_path / "a" / "b")


def constant_points_onnx(path: Path) -> Path:
    """Write a network whose points are constant in its window."""
    positions = np.random.default_rng(0).uniform(0.2, 0.8, 136)
    return write_points_onnx(path, [0.0] * 136, positions.tolist())


def test_points_of_an_onnx_network_are_mapped_from_its_window(
    tmp_path: Path, portraits: list
) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits)
    network = constant_points_onnx(tmp_path / "points.onnx")
    outputs = np.random.default_rng(0).uniform(0.2, 0.8, 136).reshape(68, 2)
    left, top, side = OnnxLandmarks.window
    expected = outputs * side + (left, top) - 0.5  # in the window 138 the face is the template
    landmarks = {}
    for crop in ("138", "138-left", "178"):
        settings = PrepareSettings(crop=crop, landmarks=str(network))
        faces = open_faces(folder, "train", tmp_path / "cache", settings)
        assert np.array_equal(faces.landmarks, faces.heat_points)
        landmarks[crop] = faces.landmarks
    assert np.allclose(landmarks["138"], expected, atol=0.01)
    assert np.allclose(landmarks["138-left"], expected - (10 * 128 / 138, 0), atol=0.01)
    in_celeba = (expected + 0.5) * (138 / 128) - 0.5 + (20, 40)
    assert np.allclose(landmarks["178"], (in_celeba - (0, 20) + 0.5) * (128 / 178) - 0.5, atol=0.01)


def test_points_depend_on_each_picture(tmp_path: Path) -> None:
    # Outputs depend on the mean red: each square has its own points.
    network = OnnxLandmarks(write_points_onnx(tmp_path / "p.onnx", [1.0] * 136, [0.0] * 136))
    squares = np.stack([np.full((112, 112, 3), level, np.uint8) for level in (51, 204)])
    squares[..., 1:] = 0
    landmarks = network.locate(squares)
    assert landmarks.shape == (2, 68, 2)
    assert np.allclose(landmarks[0], 0.2 * 112 - 0.5, atol=0.05)
    assert np.allclose(landmarks[1], 0.8 * 112 - 0.5, atol=0.05)


def test_files_without_a_landmark_network_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(WeightsError, match=r"text\.onnx: is not an ONNX network"):
        open_landmarks(str(tmp_path / "text.onnx"))
    ten = OnnxLandmarks(write_points_onnx(tmp_path / "ten.onnx", [0.0] * 10, [0.5] * 10))
    with pytest.raises(WeightsError, match="gives 10 numbers, not 136"):
        ten.locate(np.zeros((1, 112, 112, 3), np.uint8))


def test_98_points_are_reduced_to_68() -> None:
    positions = np.arange(98, dtype=np.float32)
    (landmarks,) = to_ibug(np.stack([positions, -positions], axis=1)[None])
    assert landmarks.shape == (68, 2)
    assert landmarks[[0, 8, 16], 0].tolist() == [0, 16, 32]  # the jaw, every other point
    assert landmarks[[17, 18, 26], 0].tolist() == [33, 37.5, 46]  # middle lines of the brows
    assert landmarks[[27, 30, 33, 35], 0].tolist() == [51, 54, 57, 59]
    assert landmarks[[36, 38, 41, 42, 47], 0].tolist() == [60, 63, 67, 68, 75]
    assert landmarks[[48, 54, 60, 67], 0].tolist() == [76, 82, 88, 95]
    assert np.array_equal(landmarks[:, 1], -landmarks[:, 0])
    assert WFLW_TO_IBUG.shape == (68, 2)
    assert WFLW_TO_IBUG.max() == 95  # the pupils are not used


def test_peaks_are_shifted_towards_the_higher_neighbour() -> None:
    maps = np.zeros((1, 3, 8, 8), np.float32)
    maps[0, 0, 2, 5], maps[0, 0, 2, 6], maps[0, 0, 1, 5] = 1.0, 0.5, 0.2
    maps[0, 1, 0, 0] = 1.0
    maps[0, 2, 7, 7], maps[0, 2, 7, 6] = 1.0, 0.3
    (landmarks,) = peaks(maps)
    assert landmarks[0].tolist() == [5.75, 2.25]
    assert landmarks[1].tolist() == [0.5, 0.5]
    assert landmarks[2].tolist() == [7.5, 7.5]


@pytest.mark.usefixtures("no_weights")
def test_missing_facexlib_weights_are_errors(tmp_path: Path, portraits: list) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits)
    for settings, name in (
        (PrepareSettings(landmarks="fan"), "landmarks-wflw"),
        (PrepareSettings(labels=label_source("facexlib")), "parsing-bisenet"),
    ):
        with pytest.raises(WeightsMissingError, match=f"jdsr weights fetch {name}"):
            open_faces(folder, "val", tmp_path / "cache", settings)


def test_altered_facexlib_weights_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.pth"
    torch.save({"state_dict": {"weight": torch.zeros(2)}}, other)
    monkeypatch.setattr("jdsr_cli.datasets.landmark_networks.auxiliary", lambda name: other)
    with pytest.raises(WeightsCorruptError, match=r"other\.pth: is not facexlib's FAN"):
        FanLandmarks("cpu")
    monkeypatch.setattr("jdsr_train.data.part_labellers.auxiliary", lambda name: other)
    with pytest.raises(WeightsCorruptError, match=r"other\.pth: is not facexlib's parsing-bisenet"):
        FacexlibParser("cpu")


def test_bisenet_classes_are_mapped_to_eleven() -> None:
    names = [PARSING_CLASSES[index] for index in _BISENET_TO_11]
    assert len(names) == 19
    assert names[2:6] == ["right brow", "left brow", "right eye", "left eye"]
    assert names[10:14] == ["nose", "inner mouth", "upper lip", "lower lip"]
    assert names[14:] == ["background", "background", "background", "hair", "background"]


def write_parser(path: Path, metadata: dict[str, str] | None = None) -> Parser:
    torch.manual_seed(1)
    network = Parser(width=4, levels=2).eval()
    for weight in network.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight)
    described = {"network": "parser", "arguments": json.dumps({"width": 4, "levels": 2})}
    safetensors.torch.save_file(network.state_dict(), path, metadata or described)
    return network


def test_a_trained_parser_labels_the_faces(tmp_path: Path, portraits: list) -> None:
    folder, path = write_celeba(tmp_path / "celeba", portraits), tmp_path / "parser.safetensors"
    network = write_parser(path)
    settings = PrepareSettings(labels=label_source(str(path)))
    faces = open_faces(folder, "train", tmp_path / "cache", settings)
    assert faces.parsing is not None
    assert faces.parsing.shape == (3, 64, 64)
    assert len(np.unique(faces.parsing)) > 1
    image = torch.from_numpy(np.array(faces.images[1])).permute(2, 0, 1)[None] / 255.0
    with torch.no_grad():
        classes = network(image).argmax(dim=1)[0].numpy()
    assert np.array_equal(faces.parsing[1], classes[1::2, 1::2])
    without = open_faces(folder, "train", tmp_path / "cache")
    assert without.parsing is None
    assert np.array_equal(without.images, faces.images)


class RecordingLabeller:
    """A labeller that records the sizes of its calls, and is interrupted at one of them."""

    def __init__(self, path: Path, stop: int = 99) -> None:
        self.parser, self.stop = TrainedParser(path, "cpu"), stop
        self.sizes: list[int] = []

    def label(self, faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if len(self.sizes) == self.stop:
            raise KeyboardInterrupt
        self.sizes.append(len(faces))
        return self.parser.label(faces)


@pytest.fixture
def parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a parser; labelling networks run on a GPU, and shards have two faces."""
    monkeypatch.setattr(preparation, "SHARD_SIZE", 2)
    set_device(monkeypatch, "cuda")
    write_parser(tmp_path / "parser.safetensors")
    return tmp_path / "parser.safetensors"


def contents(sets: PreparedSets) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sets.folder.iterdir() if path.is_file()}


def shards(out: Path) -> list[str]:
    return sorted(path.name for path in out.rglob("*.npz"))


def use_labeller(monkeypatch: pytest.MonkeyPatch, labeller: RecordingLabeller) -> RecordingLabeller:
    """Use this labeller in the main process; workers cannot receive it."""
    monkeypatch.setattr(TrainedParserLabels, "open", lambda self: labeller)
    return labeller


def set_device(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(preparation, "resolve_device", lambda: torch.device(kind))


@pytest.mark.nightly
def test_on_a_gpu_one_process_labels_the_crops_of_the_others(
    parser: Path, tmp_path: Path, portraits: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_celeba(tmp_path / "celeba", portraits)
    alone = prepare(
        folder, tmp_path / "a", PrepareSettings(labels=label_source(str(parser))), splits=("all",)
    )
    settings = PrepareSettings(labels=label_source(str(parser)), workers=2)
    labeller = use_labeller(monkeypatch, RecordingLabeller(parser))
    shared = prepare(folder, tmp_path / "b", settings, splits=("all",))
    assert labeller.sizes == [2, 2, 2]
    assert contents(shared) == contents(alone)
    assert len(set((shared.folder / "all.parsing").read_bytes())) > 1
    # Without labels, or on a CPU, the main process labels nothing.
    prepare(folder, tmp_path / "c", PrepareSettings(workers=2), splits=("all",))
    set_device(monkeypatch, "cpu")
    within = prepare(folder, tmp_path / "d", settings, splits=("all",))
    assert labeller.sizes == [2, 2, 2]
    assert contents(within) == contents(alone)


@pytest.mark.parametrize("workers", [pytest.param(2, marks=pytest.mark.nightly), 0])
def test_a_run_interrupted_between_cropping_and_labelling_resumes_both(
    workers: int, parser: Path, tmp_path: Path, portraits: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = write_celeba(tmp_path / "celeba", portraits), tmp_path / "out"
    settings = PrepareSettings(labels=label_source(str(parser)), workers=2)
    whole = prepare(folder, tmp_path / "a", settings, splits=("all",))
    with monkeypatch.context() as patch:
        use_labeller(patch, RecordingLabeller(parser, stop=1))
        with pytest.raises(KeyboardInterrupt):
            prepare(folder, out, settings, splits=("all",))
    left = shards(out)
    finished = [name for name in left if not name.endswith(".cut.npz")]
    cut = next(path for path in out.rglob("*.cut.npz"))
    assert len(finished) == 1
    with pytest.raises(DatasetError, match="no prepared set 'all'"):
        open_faces(next(out.iterdir()), None, tmp_path)
    # Existing crops are used unchanged: an edit of them appears in the set.
    with np.load(cut) as stored:
        arrays = dict(stored)
    arrays["images"][:] = 77
    np.savez(cut, **arrays)
    resumed = dataclasses.replace(settings, workers=workers)
    labeller = RecordingLabeller(parser)
    if workers:
        use_labeller(monkeypatch, labeller)
    completed = prepare(folder, out, resumed, splits=("all",))
    assert labeller.sizes == ([2, 2] if workers else [])
    assert not shards(out)
    actual, reference = contents(completed), contents(whole)
    start = 2 * int(cut.name[:5])
    size = 128 * 128 * 3
    expected = bytearray(reference["all.rgb"])
    expected[start * size : (start + 2) * size] = bytes([77]) * (2 * size)
    assert actual["all.rgb"] == bytes(expected)
    marked = np.full((2, 128, 128, 3), 77, np.uint8)
    labels = bytearray(reference["all.parsing"])
    labels[start * 4096 : (start + 2) * 4096] = labeller.parser.label(marked).tobytes()
    assert actual["all.parsing"] == bytes(labels)


def test_a_shard_without_faces_is_finished_without_labels(parser: Path, tmp_path: Path) -> None:
    task = ShardTask((), tmp_path / "00000.npz")
    np.savez(
        task.without_labels.path, keys=np.zeros(0, str), identities=np.zeros(0, str),
        skipped=np.array([("a", "no face detected")]), parsing=np.zeros((0, 64, 64), np.uint8),
    )  # fmt: skip
    labeller = RecordingLabeller(parser)
    label_shard(task, labeller)
    shard = read_shard(task.path)
    assert (shard.keys, shard.skipped) == ((), (("a", "no face detected"),))
    assert labeller.sizes == []
    assert not task.without_labels.path.exists()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"network": "lite", "arguments": "{}"}, "is of network 'lite', not of a parser"),
        ({"network": "parser"}, "is not a parser of this version"),
        ({"network": "parser", "arguments": '{"height": 3}'}, "is not a parser of this version"),
        ({"network": "parser", "arguments": '{"width": 5}'}, "is not a parser of this version"),
    ],
)
def test_files_without_a_parser_are_refused(
    metadata: dict[str, str], message: str, tmp_path: Path
) -> None:
    write_parser(tmp_path / "parser.safetensors", metadata)
    with pytest.raises(WeightsError, match=message):
        TrainedParser(tmp_path / "parser.safetensors")


def test_an_unknown_label_setting_is_refused() -> None:
    with pytest.raises(UsageError, match="neither none nor facexlib nor a file") as caught:
        label_source("absent.safetensors")
    assert caught.value.where == "parsing"


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "parser.safetensors").write_text("no tensors at all")
    with pytest.raises(WeightsCorruptError, match="is not a safetensors file"):
        TrainedParser(tmp_path / "parser.safetensors", "cpu")


@pytest.mark.shared
@pytest.mark.skipif(not (POINTS_FILE.is_file() and DATA.is_dir()), reason="no ../shared")
def test_the_landmarks_of_the_development_set_are_reproduced(tmp_path: Path) -> None:
    reference = open_faces(DATA / "val.tar", None, tmp_path)
    settings = PrepareSettings(landmarks=str(POINTS_FILE))
    faces = open_faces(DATA / "val.tar", None, tmp_path, settings)
    assert faces.keys == reference.keys
    assert np.linalg.norm(faces.landmarks - reference.landmarks, axis=2).mean() < 1.5
