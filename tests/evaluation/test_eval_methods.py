"""Loading methods by name: shorthands, files, and invalid combinations."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from jdsr_cli.errors import UsageError, WeightsMissingError
from jdsr_cli.evaluation import methods as module
from jdsr_cli.evaluation.methods import load_methods
from jdsr_cli.networks import GeneratorOutput
from jdsr_cli.weights import LoadedGenerator, WeightEntry

Weights = Callable[[int], Path]


class Identity(nn.Module):
    """A generator that returns its 128 px input."""

    def forward(self, lr: Tensor) -> GeneratorOutput:
        return GeneratorOutput(lr, lr, lr, lr[:, :1])


def entry(name: str, network: str, scale: int) -> WeightEntry:
    return WeightEntry(
        name, f"{name}.safetensors", "0" * 64, 1, network, scale, 128 // scale,
        "data", "licence", "commit", "recipe",
    )  # fmt: skip


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tiny_weights: Weights) -> None:
    """A registry whose names load a tiny network of their scale."""
    registered = (
        entry("lite-x4", "lite", 4),
        entry("lite-x8", "lite", 8),
        entry("jdsr-x8", "jdsr", 8),
    )
    load = module.load_generator

    def load_fake(name: str, *more: str) -> object:
        sizes = {one.name: one.lr_size for one in registered}
        return load(tiny_weights(sizes[name]) if name in sizes else name, *more)

    monkeypatch.setattr(module, "entries", lambda: registered)
    monkeypatch.setattr(module, "load_generator", load_fake)


@pytest.mark.usefixtures("registry")
def test_shorthands_load_the_weights_of_the_scale() -> None:
    def load(*requested: str, scale: int | None = None) -> tuple[list[str], int]:
        methods, size = load_methods(requested, scale)
        return [one.name for one in methods], size

    assert load("bicubic", "lite") == (["bicubic", "lite-x4"], 32)
    assert load("bicubic", "lite", "paper", scale=8) == (["bicubic", "lite-x8", "jdsr-x8"], 16)
    assert load("bicubic", scale=8) == (["bicubic"], 16)
    assert load("bicubic") == (["bicubic"], 32)


@pytest.mark.usefixtures("registry")
def test_paper_requires_exactly_one_registered_weight_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"enlarge by 4\. Train them.*Known are lite-x4"):
        load_methods(["paper"], 4)
    two = (entry("one", "jdsr", 4), entry("two", "jdsr", 4))
    monkeypatch.setattr(module, "entries", lambda: two)
    with pytest.raises(UsageError, match=r"one, two.*Name one of them"):
        load_methods(["paper"], 4)


def test_files_are_named_by_their_stem_if_it_is_unique(
    tiny_weights: Weights, tmp_path: Path
) -> None:
    first = tiny_weights(32)
    second = tmp_path / first.name
    second.write_bytes(first.read_bytes())
    methods, size = load_methods(["bicubic", str(first)], None)
    assert [one.name for one in methods] == ["bicubic", "tiny-32"]
    assert size == 32
    assert methods[1].description["file"] == first.name
    assert len(str(methods[1].description["sha256"])) == 64
    methods, _ = load_methods([str(first), str(second)], None)
    assert [one.name for one in methods] == [str(first), str(second)]


def test_a_generator_of_128_px_inputs_has_scale_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_fake(name: str, device: str, precision: str) -> LoadedGenerator:
        return LoadedGenerator(
            None, Identity(), torch.device(device), torch.float32, "0" * 64, Path(name), 128
        )

    monkeypatch.setattr(module, "load_generator", load_fake)
    for scale in (None, 1):
        methods, size = load_methods(["bicubic", "same.safetensors"], scale)
        assert [one.name for one in methods] == ["bicubic", "same"]
        assert size == 128
    with pytest.raises(UsageError, match=r"scale 2 gives inputs of 64 px.*same 128 px.*scale 1"):
        load_methods(["same.safetensors"], 2)


def test_invalid_method_names_are_rejected(tiny_weights: Weights, tmp_path: Path) -> None:
    large, small = str(tiny_weights(32)), str(tiny_weights(16))
    with pytest.raises(UsageError, match=r"one input size \(tiny-32 32 px, tiny-16 16 px\)"):
        load_methods([large, "bicubic", small], None)
    with pytest.raises(UsageError, match=r"scale 8 gives inputs of 16 px.*tiny-32 32 px.*scale 4"):
        load_methods([large], 8)
    with pytest.raises(UsageError, match="bicubic is given twice"):
        load_methods(["bicubic", "bicubic"], None)
    with pytest.raises(UsageError, match="unknown scale 3"):
        load_methods(["bicubic"], 3)
    with pytest.raises(WeightsMissingError, match=r"absent\.safetensors"):
        load_methods([str(tmp_path / "absent.safetensors")], None)
    with pytest.raises(UsageError, match=r"no weights are called 'lite-y4'\. Did you mean"):
        load_methods(["lite-y4"], None)
