"""Chains: the weights of a denoiser and of a super-resolver in one file, with its entry."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import skimage.data
import torch
from command_line import one_line, run
from PIL import Image

from jdsr_cli.networks import build
from jdsr_cli.settings import StoredPrecision
from jdsr_cli.weights import entry, load_generator, locations, read_manifest, sha256_of
from jdsr_cli.weights.headers import read_metadata
from jdsr_train.chained_weights import chain_weights, default_name
from jdsr_train.export import WeightOrigin, add_to_manifest, store_weights

CBDNET: Mapping[str, Any] = {"noise_width": 16, "denoiser_widths": [16, 16, 16]}
DRN: Mapping[str, Any] = {"blocks": 1, "features": 4}
SMALL: Mapping[str, Mapping[str, Any]] = {
    "drn": DRN,
    "srfbn": {"features": 4, "groups": 2, "feedback_steps": 2},
    "fsrnet": {"landmarks": 5, "width": 4, "prior_width": 4, "encoder_blocks": 1, "depth": 2},
}


@pytest.fixture(autouse=True)
def _own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the weights of the tests the only ones that are known by name."""
    monkeypatch.setattr(locations, "PACKAGE_FOLDER", tmp_path / "site" / "jdsr_cli" / "weights")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JDSR_WEIGHTS", str(tmp_path / "weights"))


def exported(
    folder: Path,
    recipe: str,
    network: str,
    arguments: Mapping[str, Any],
    *,
    lr_size: int = 32,
    precision: StoredPrecision = "float16",
    origin: Mapping[str, Any] | None = None,
) -> Path:
    """Write untrained weights as a training does."""
    torch.manual_seed(0)
    path = folder / "weights" / f"{recipe}.safetensors"
    arguments = {**arguments, "lr_size": lr_size}
    stated = {"data": "faces", "steps": "7", "deviations": (), **(origin or {})}
    table = store_weights(
        path, WeightOrigin(recipe, **stated), network, arguments, build(network, arguments),
        precision=precision,
    )  # fmt: skip
    add_to_manifest(path, table)
    return path


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path]:
    return exported(tmp_path, "cbdnet_x4", "cbdnet", CBDNET), exported(
        tmp_path, "drn_x4", "drn", DRN
    )


def test_a_chain_restores_a_face_with_both_parts(parts: tuple[Path, Path], tmp_path: Path) -> None:
    path = chain_weights(*map(str, parts), tmp_path / "chains" / "cbd_drn_x4.safetensors")
    chain, denoiser, super_resolver = (
        load_generator(one, "cpu", "float32") for one in (path, *parts)
    )
    assert chain.lr_size == 32
    lr = torch.rand(2, 3, 32, 32)
    denoised = denoiser(lr).denoised
    expected = super_resolver(denoised.clamp(0, 1)).restored
    torch.testing.assert_close(chain(lr).restored, expected)
    torch.testing.assert_close(chain(lr).denoised, denoised)


@pytest.mark.parametrize("network", ["srfbn", "fsrnet"])
def test_each_kind_of_super_resolver_can_be_chained(network: str, tmp_path: Path) -> None:
    first = exported(tmp_path, "cbdnet_x8", "cbdnet", CBDNET, lr_size=16)
    second = exported(tmp_path, f"{network}_x8", network, SMALL[network], lr_size=16)
    loaded = load_generator(chain_weights(str(first), str(second), tmp_path / "c.safetensors"))
    assert loaded.lr_size == 16
    whole = loaded.network.get_submodule("super_resolver").state_dict()
    part = load_generator(second, "cpu", "float32").network.state_dict()
    assert all(torch.equal(whole[name].cpu(), value) for name, value in part.items())


def test_the_entry_and_the_file_state_both_parts(parts: tuple[Path, Path], tmp_path: Path) -> None:
    second = exported(
        tmp_path, "drn_x4", "drn", DRN,
        origin={"data": "other faces", "steps": "9", "deviations": ("stopped at step 9 of 10",)},
    )  # fmt: skip
    path = chain_weights(str(parts[0]), "drn-x4", tmp_path / "weights" / "cbd_drn_x4.safetensors")
    listed = entry("cbd-drn-x4")
    assert listed == read_manifest(path.with_name("manifest.toml"))[-1]
    assert (listed.file, listed.recipe, listed.network) == (path.name, "cbd_drn_x4", "chain")
    assert (listed.scale, listed.lr_size) == (4, 32)
    assert (listed.sha256, listed.bytes) == (sha256_of(path), path.stat().st_size)
    assert listed.data == "cbdnet_x4: faces; drn_x4: other faces"
    deviations = "drn_x4: stopped at step 9 of 10"
    assert listed.figures == {"protocol": f"not measured; deviations: {deviations}"}
    stored = read_metadata(path)
    assert stored["precision"] == "float16"
    assert (stored["recipe"], stored["steps"]) == ("cbd_drn_x4", "cbdnet_x4 7, drn_x4 9")
    assert (stored["data"], stored["deviations"]) == (listed.data, deviations)
    assert (stored["denoiser"], stored["denoiser_sha256"]) == ("cbdnet_x4", sha256_of(parts[0]))
    assert stored["super_resolver"] == "drn_x4"
    assert stored["super_resolver_sha256"] == sha256_of(second)
    assert json.loads(stored["arguments"]) == {
        **CBDNET, "lr_size": 32, "super_resolver": "drn", "arguments": DRN,
    }  # fmt: skip
    assert load_generator("cbd-drn-x4", "cpu", "float32").entry == listed


def test_parts_of_the_same_data_state_it_once(parts: tuple[Path, Path], tmp_path: Path) -> None:
    path = chain_weights(*map(str, parts), tmp_path / "cbd_drn_x4.safetensors")
    assert read_metadata(path)["data"] == "faces"
    assert read_metadata(path)["deviations"] == "none"


@pytest.mark.parametrize(
    ("recipe", "lr_size", "name"),
    [
        ("drn_x4", 32, "cbd_drn_x4"),
        ("drn_x8", 16, "cbd_drn_x8"),
        ("drn_x4_small", 32, "cbd_drn_x4_small"),
        ("own", 16, "cbd_own_x8"),
    ],
)
def test_a_chain_is_named_after_its_super_resolver(recipe: str, lr_size: int, name: str) -> None:
    assert default_name(recipe, lr_size) == name


def test_parts_of_another_kind_or_size_are_refused(
    parts: tuple[Path, Path], tiny_weights: Callable[[int], Path], tmp_path: Path
) -> None:
    denoiser, super_resolver = map(str, parts)
    light, out = str(tiny_weights(32)), tmp_path / "c.safetensors"
    small = str(exported(tmp_path, "drn_x8", "drn", DRN, lr_size=16))

    def fault(*arguments: object, code: int = 2) -> str:
        return one_line(run("weights", "chain", *arguments), code)

    assert "'drn', the weights of a cbdnet are needed" in fault(super_resolver, denoiser)
    assert "is a 'lite', the weights of a drn or srfbn or" in fault(denoiser, light)
    line = fault(denoiser, small, "--out", out)
    assert "takes faces of 16 px" in line
    assert "of 32 px" in line
    assert "absent" in fault(tmp_path / "absent.safetensors", super_resolver, code=5)
    assert "Did you mean drn-x4?" in fault("cbdnet-x4", "drm-x4")
    assert "--out: " in fault(*parts, "--out", tmp_path / "chain.pt")
    assert "is a part of the chain" in fault(*parts, "--out", super_resolver)
    assert not out.exists()


def test_values_beyond_float16_can_be_chained_in_bfloat16(tmp_path: Path) -> None:
    first = exported(tmp_path, "cbdnet_x4", "cbdnet", CBDNET)
    arguments = {**DRN, "lr_size": 32}
    network = build("drn", arguments)
    network.get_parameter("enter.bias").data[0] = 1e6
    second = tmp_path / "weights" / "drn_x4.safetensors"
    origin = WeightOrigin("drn_x4", "faces", "7", ())
    store_weights(second, origin, "drn", arguments, network, precision="bfloat16")
    command = ("weights", "chain", first, second, "--out", tmp_path / "c.safetensors")
    assert "'super_resolver.enter.bias' reaches" in one_line(run(*command), 5)
    assert run(*command, "--precision", "bfloat16").exit_code == 0


@pytest.fixture
def chained(parts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a chain, made by the command and without --out."""
    monkeypatch.chdir(tmp_path)
    result = run("weights", "chain", *parts)
    assert result.exit_code == 0, result.output
    assert result.stdout == "chained: cbd_drn_x4.safetensors\n"
    return tmp_path / "cbd_drn_x4.safetensors"


def test_a_chain_is_evaluated(
    chained: Path, write_faces: Callable[..., Path], tmp_path: Path
) -> None:
    data = write_faces(tmp_path / "faces", ("test.tar",)) / "test.tar"
    result = run(
        "eval", "--data", data, "--scale", 4, "--compare", f"bicubic,{chained}", "--limit", 2,
        "--out", tmp_path / "out", "--device", "cpu", "--quiet",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert "cbd_drn_x4" in json.dumps(results)


def test_a_chain_restores_a_photograph_like_other_weights_for_its_input(
    chained: Path, tiny_weights: Callable[[int], Path], tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(skimage.data.astronaut()[:290, 80:370]).resize((120, 120)).save(photo)
    counts = {}
    for name, weights in (("light", tiny_weights(32)), ("chain", chained)):
        result = run(
            "restore", photo, "--weights", weights, "--out", tmp_path / name, "--device", "cpu",
            "--detector", "centerface", "--no-report", "--quiet",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        manifest = json.loads((tmp_path / name / "photo" / "manifest.json").read_text())
        counts[name] = manifest["counts"]
    assert counts["chain"]["faces_found"] == counts["light"]["faces_found"] == 1
    assert counts["chain"]["faces_restored"] == counts["light"]["faces_restored"] == 1
