"""Validation of a trained generator, and its gates against the carried one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_generator import tiny_arguments
from torch import Tensor, nn

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader, EvaluationSample, SampleSettings
from jdsr_cli.networks import GeneratorOutput, build
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.weights import locations, save_network
from jdsr_cli.weights.gates import GATES, gate_table_error
from jdsr_train.data.samples import TrainingSamples
from jdsr_train.stages import Validation
from jdsr_train.stages.validation import LOSS_BATCH, LOSS_BATCHES, measure_gates, panel_indices

CPU = torch.device("cpu")
NAMES = {gate.name for gate in GATES}


class ScaledInput(nn.Module):
    """Returns its input times a factor, with a uniform occlusion map."""

    def __init__(self, covered: float, factor: float = 1.0) -> None:
        super().__init__()
        self.covered, self.factor = covered, factor
        self.inputs: list[Tensor] = []

    def forward(self, lr: Tensor) -> GeneratorOutput:
        self.inputs.append(lr)
        occlusion = torch.full_like(lr[:, :1], self.covered)
        return GeneratorOutput(self.factor * lr, lr, torch.zeros_like(lr), occlusion)


MakeValidation = Callable[..., Validation]


@pytest.fixture(scope="module")
def make(face_set: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> MakeValidation:
    masks = draw_sprites(4, 1)

    def validation(
        lr_size: int = 128, degradation: str = "camera", masked: float = 0.5, limit: int = 4
    ) -> Validation:
        degrader = Degrader(masks, SampleSettings(lr_size, degradation, masked))
        return Validation(face_set, degrader, tmp_path_factory.mktemp("panel"), limit, CPU)

    return validation


@pytest.fixture(scope="module")
def validation(make: MakeValidation) -> Validation:
    return make()


@pytest.fixture
def carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An untrained generator that predicts every pixel as covered, as the only carried one."""
    monkeypatch.setattr(locations, "PACKAGE_FOLDER", tmp_path / "site" / "jdsr_cli" / "weights")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JDSR_WEIGHTS", str(tmp_path))
    arguments = tiny_arguments(128)
    torch.manual_seed(0)
    path = tmp_path / "lite-camera.safetensors"
    network = build("lite", arguments)
    network.get_parameter("head.bias").data[6] = 6.0
    digest = save_network(path, "lite", arguments, network)
    values = {
        "name": "lite-camera", "file": path.name, "sha256": digest, "network": "lite",
        "data": "none", "licence": "none", "commit": "none", "recipe": "none",
    }  # fmt: skip
    lines = [f'{key} = "{value}"' for key, value in values.items()]
    inline = ", ".join(f"{key} = {value}" for key, value in arguments.items())
    lines += [f"bytes = {path.stat().st_size}", "scale = 1", "lr_size = 128"]
    text = "\n".join(["[[weights]]", *lines, f"arguments = {{ {inline} }}"])
    (tmp_path / "manifest.toml").write_text(text)
    return path


def covered_share(samples: Sequence[EvaluationSample]) -> float:
    return float(np.mean([sample.pair.occlusion > 0.5 for sample in samples]))


def test_predicted_maps_are_compared_with_the_occlusion(validation: Validation) -> None:
    covered, uncovered = (validation.gates(ScaledInput(share)) for share in (1.0, 0.0))
    assert set(covered) == set(uncovered) == NAMES
    assert (covered["plain_covered"], uncovered["plain_covered"]) == (1.0, 0.0)
    share = covered_share(validation.samples["masked"])
    assert 0.1 < share < 0.9
    assert covered["masked_iou"] == pytest.approx(share, abs=1e-6)
    assert uncovered["masked_iou"] == 0.0


def test_sharp_faces_are_unmasked_and_not_degraded(
    validation: Validation, face_set: FaceSet
) -> None:
    sharp = validation.gate_faces()["sharp"]
    assert [sample.key for sample in sharp] == [
        sample.key for sample in validation.samples["plain"]
    ]
    for sample in sharp:
        face = face_set.images[face_set.keys.index(sample.key)]
        assert np.array_equal(sample.pair.lr, face)
        assert np.array_equal(sample.pair.hr, face)
        assert not sample.pair.occlusion.any()
    unchanged, dimmed = (validation.gates(ScaledInput(0.0, factor)) for factor in (1.0, 0.8))
    assert unchanged["sharp_psnr"] > 40 > dimmed["sharp_psnr"]
    assert unchanged["plain_psnr"] < 40


def test_a_limit_selects_evenly_spaced_faces(validation: Validation) -> None:
    some = validation.gate_faces(2)
    keys = [[sample.key for sample in samples] for samples in some.values()]
    assert keys == [[validation.samples["plain"][index].key for index in (0, 2)]] * 3
    assert [len(samples) for samples in validation.gate_faces(99).values()] == [4, 4, 4]
    network = ScaledInput(0.0)
    validation.gates(network, 2)
    assert sum(len(lr) for lr in network.inputs) == 6


def test_the_table_contains_both_generators_and_the_protocol(
    validation: Validation, carried: Path
) -> None:
    network = ScaledInput(0.0)
    table = measure_gates(network, validation, CPU, limit=2, data="six portraits")
    assert table is not None
    assert gate_table_error(table) is None
    assert set(table) >= NAMES
    assert table["against"] == "lite-camera"
    assert table["sha256"] == hashlib.sha256(carried.read_bytes()).hexdigest()
    assert str(table["protocol"]).startswith(
        "2 validation faces of six portraits, each with one of the 4 masks of the training"
    )
    own = validation.gates(network, 2)
    for name in NAMES:
        pair = table[name]
        assert isinstance(pair, list)
        assert pair[0] == pytest.approx(own[name], rel=1e-5)
    assert table["plain_covered"] == [0.0, 1.0]


def test_the_carried_generator_equals_itself_on_every_gate(
    validation: Validation, carried: Path
) -> None:
    from jdsr_cli.weights import load_generator

    network = load_generator("lite-camera", "cpu", "float32").network
    table = measure_gates(network, validation, CPU, limit=2)
    assert table is not None
    assert all(table[name][0] == table[name][1] for name in NAMES)  # type: ignore[index]


@pytest.mark.parametrize(
    "settings",
    [{"lr_size": 32}, {"degradation": "paper"}, {"masked": 1.0}, {"masked": 0.0}],
    ids=str,
)
def test_only_generators_for_footage_have_gates(
    make: MakeValidation, carried: Path, settings: dict[str, object]
) -> None:
    assert measure_gates(ScaledInput(0.0), make(**settings, limit=1), CPU) is None


@pytest.mark.parametrize("state", ["unlisted", "missing", "altered"])
def test_without_the_carried_weights_there_are_no_gates(
    validation: Validation, carried: Path, state: str
) -> None:
    if state == "unlisted":
        (carried.parent / "manifest.toml").unlink()
    elif state == "missing":
        carried.unlink()
    else:
        carried.write_bytes(b"altered")
    network = ScaledInput(0.0)
    assert measure_gates(network, validation, CPU) is None
    assert network.inputs == []


@pytest.mark.parametrize(
    ("masked", "kinds"), [(0.0, {"plain"}), (0.5, {"masked", "plain"}), (1.0, {"masked"})]
)
def test_a_validation_has_the_kinds_of_faces_of_the_training(
    face_set: FaceSet, tmp_path: Path, masked: float, kinds: set[str]
) -> None:
    degrader = Degrader(draw_sprites(2, 1), SampleSettings(16, "paper", masked=masked))
    validation = Validation(face_set, degrader, tmp_path, 3, CPU)
    assert set(validation.samples) == set(validation.sets) == set(validation.panel) == kinds
    assert all(len(samples) == 3 for samples in validation.samples.values())


def test_the_validation_loss_uses_other_samples_than_the_training(
    face_set: FaceSet, tmp_path: Path
) -> None:
    degrader = Degrader(draw_sprites(2, 1), SampleSettings(16, "paper", masked=1.0))
    validation = Validation(face_set, degrader, tmp_path, 3, CPU)
    assert len(validation.batches) == LOSS_BATCHES
    own, trained = (
        next(iter(TrainingSamples(face_set, degrader, seed=seed).batches(LOSS_BATCH, 0, 1, 0)))
        for seed in (1, 0)
    )
    first = validation.batches[0].unpack(CPU)
    assert torch.equal(first.lr, own.unpack(CPU).lr)
    assert not torch.equal(first.lr, trained.unpack(CPU).lr)


@pytest.mark.parametrize(
    ("count", "indices"),
    [
        (3, [0, 1, 2]),
        (10, list(range(10))),
        (25, list(range(0, 20, 2))),
        (200, list(range(0, 200, 20))),
    ],
)
def test_the_panel_shows_ten_evenly_spaced_faces_at_most(count: int, indices: list[int]) -> None:
    assert list(panel_indices(count)) == indices
