from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jdsr_cli.faces import TEMPLATE, Detection
from jdsr_cli.faces.tracking import TrackedFace
from jdsr_cli.inference import torch_generator
from jdsr_cli.inference.torch_generator import TorchGenerator
from jdsr_cli.networks.layers import GeneratorOutput
from jdsr_cli.restoration.frame import FaceItem, RestoredFace
from jdsr_cli.restoration.stages import generation
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.weights import LoadedGenerator, load_generator

SIDE = 32


class Echo(nn.Module):
    """Enlarges its input; returns NaN for black faces under autocast, and for white ones always."""

    lr_size = SIDE

    def __init__(self, most: int = 1000) -> None:
        super().__init__()
        self.most = most
        self.sizes: list[int] = []

    def forward(self, lr: Tensor) -> GeneratorOutput:
        if len(lr) > self.most:
            raise torch.OutOfMemoryError("too many")
        self.sizes.append(len(lr))
        restored = nn.functional.interpolate(lr, size=(128, 128))
        means = lr.mean(dim=(1, 2, 3))
        broken = means > 0.99
        if torch.is_autocast_enabled("cpu"):
            broken = broken | (means < 0.01)
        restored[broken] = float("nan")
        return GeneratorOutput(restored, lr, lr, lr[:, :1].clamp(0, 1))


def network(
    module: nn.Module, dtype: torch.dtype = torch.float32, batch: int = 32
) -> TorchGenerator:
    loaded = LoadedGenerator(
        entry=None,
        network=module,
        device=torch.device("cpu"),
        dtype=dtype,
        sha256="0" * 64,
        path=Path("echo.safetensors"),
        lr_size=SIDE,
    )
    return TorchGenerator(loaded, batch)


def uniform(*values: int) -> list[np.ndarray]:
    return [np.full((SIDE, SIDE, 3), value, np.uint8) for value in values]


def test_each_crop_has_its_own_face() -> None:
    faces = FaceGenerator(network(Echo()), batch=2).restore(uniform(10, 100, 200))
    for face, value in zip(faces, (10, 100, 200), strict=True):
        assert face is not None
        assert face.image.shape == (128, 128, 3)
        assert (face.image == value).all()
        assert face.occlusion.shape == (128, 128)
        assert face.occlusion == pytest.approx(value / 255.0, abs=1e-6)
        assert face.occlusion.dtype == np.float32


def test_no_crops_give_no_faces() -> None:
    assert FaceGenerator(network(Echo()), batch=2).restore([]) == []


def test_faces_that_are_not_finite_are_redone_in_float32() -> None:
    generator = FaceGenerator(network(Echo(), torch.bfloat16), batch=8)
    black, gray, white = generator.restore(uniform(0, 100, 255))
    assert black is not None
    assert black.redone
    assert (black.image == 0).all()
    assert gray is not None
    assert not gray.redone
    assert white is None


def test_float32_is_not_run_twice() -> None:
    echo = Echo()
    assert FaceGenerator(network(echo), batch=8).restore(uniform(255)) == [None]
    assert echo.sizes == [4]


@pytest.fixture
def unlimited_pass_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes as large as the batch, as on a GPU."""
    monkeypatch.setattr(torch_generator, "PASS_SIZES", {})


@pytest.mark.usefixtures("unlimited_pass_size")
def test_batches_are_halved_when_memory_runs_out() -> None:
    echo = Echo(most=3)
    generator = FaceGenerator(network(echo, batch=8), batch=8)
    assert all(face is not None for face in generator.restore(uniform(*range(1, 10))))
    assert generator.batch == 2
    assert echo.sizes == [2, 2, 2, 2, 1]


@pytest.mark.usefixtures("unlimited_pass_size")
@pytest.mark.parametrize("meanwhile", [1, 2, 4])
def test_a_batch_that_another_thread_halves_is_never_halved_to_nothing(
    meanwhile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = FaceGenerator(network(Echo(most=2), batch=8), batch=8)
    real = generator._restore_batch

    def halved(crops: Sequence[np.ndarray]) -> list[RestoredFace | None]:
        generator.batch = min(generator.batch, meanwhile)  # by the other thread
        return real(crops)

    monkeypatch.setattr(generator, "_restore_batch", halved)
    assert len(generator.restore(uniform(*range(1, 10)))) == 9
    assert generator.batch == min(meanwhile, 2)


@pytest.mark.usefixtures("unlimited_pass_size")
def test_too_little_memory_for_one_face_is_an_error() -> None:
    with pytest.raises(MemoryError):
        FaceGenerator(network(Echo(most=0)), batch=4).restore(uniform(1))


@pytest.mark.parametrize("lr_size", [32, 64])
def test_results_do_not_depend_on_the_batch_size(
    tiny_weights: Callable[[int], Path], lr_size: int
) -> None:
    torch_network = TorchGenerator(load_generator(tiny_weights(lr_size), "cpu", "float32"))
    random = np.random.default_rng(0)
    crops = list(random.integers(0, 256, (11, lr_size, lr_size, 3), np.uint8))
    results = [FaceGenerator(torch_network, batch=batch).restore(crops) for batch in (1, 3, 4, 32)]
    for faces in zip(*results, strict=True):
        for face in faces:
            assert face is not None
            assert faces[0] is not None
            np.testing.assert_array_equal(face.image, faces[0].image)
            np.testing.assert_array_equal(face.occlusion, faces[0].occlusion)


def test_a_pass_on_the_cpu_always_has_the_same_size() -> None:
    echo = Echo()
    FaceGenerator(network(echo), batch=32).restore(uniform(*range(1, 10)))
    FaceGenerator(network(echo), batch=1).restore(uniform(1))
    assert echo.sizes == [4, 4, 4, 4]


@pytest.mark.parametrize("monochrome", [False, True])
def test_faces_of_monochrome_tracks_are_generated_without_colour(monochrome: bool) -> None:
    points = (TEMPLATE * 0.5).astype(np.float32)
    detection = Detection((0.0, 0.0, 64.0, 64.0), points, 0.9)
    face = FaceItem(TrackedFace(1, detection, detection, False), monochrome)
    face.crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    crop = generation.canonical_crop(face)
    assert face.colours is not None
    assert face.colours.monochrome == monochrome
    assert bool((np.ptp(crop.astype(int), axis=2) == 0).all()) == monochrome
