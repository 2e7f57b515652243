"""Restoration from several shots: which weights extend a generator, and what they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from command_line import run
from tiny_generator import manifest_entry, tiny_arguments

from jdsr_cli import diagnosis
from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.faces.burst import RegisteredShots
from jdsr_cli.inference.burst import BurstNetwork
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.networks import build
from jdsr_cli.progress import Silent
from jdsr_cli.restoration import models
from jdsr_cli.settings import RestoreSettings
from jdsr_cli.weights import entry, load_generator, save_network, sha256_of, weight_status
from jdsr_cli.weights.loading import load_base

SINGLE = tiny_arguments(128)
BURST: dict[str, object] = {**SINGLE, "weight_width": 8, "rank": 2}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights `single` and `other`, and `several`, which extend `single`."""
    weights = tmp_path / "weights"
    monkeypatch.setenv("JDSR_WEIGHTS", str(weights))
    text = ""
    for seed, name in enumerate(("single", "other")):
        torch.manual_seed(seed)
        path = weights / f"{name}.safetensors"
        save_network(path, "lite", SINGLE, build("lite", SINGLE))
        text += manifest_entry(path, "lite", SINGLE)
    manifest = weights / "manifest.toml"
    manifest.write_text(text, encoding="utf-8")
    network = build("burst", BURST)
    base, tensors = load_base("single", "burst")
    network.load_state_dict(tensors, strict=False)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.05)
    path = weights / "several.safetensors"
    save_network(path, "burst", BURST, network, base=base)
    manifest.write_text(text + manifest_entry(path, "burst", BURST, 'base = "single"'), "utf-8")
    return weights


def shots(count: int = 3) -> RegisteredShots:
    rng = np.random.default_rng(count)
    return RegisteredShots(
        rng.uniform(-20, 275, (count, 128, 128, 3)).astype(np.float32),
        rng.uniform(0, 1, (count, 128, 128)).astype(np.float32),
        np.array([1.0, *rng.uniform(0.2, 0.99, count - 1)]),
        tuple(range(count)),
    )


def extension_of(name: str) -> tuple[BurstNetwork | None, tuple[str, ...]]:
    return BurstNetwork.of(open_generator(name, backend="torch"))


def network_of(name: str) -> BurstNetwork | None:
    return extension_of(name)[0]


@pytest.mark.parametrize(("name", "extended"), [("single", True), ("other", False)])
def test_weights_extend_the_generator_that_they_name(
    folder: Path, name: str, extended: bool
) -> None:
    found, notes = extension_of(name)

    assert (found is not None) == extended
    assert notes == ()
    if found is not None:
        assert found.entry.name == "several"


def test_a_file_that_no_manifest_lists_is_not_extended(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(7)
    path = tmp_path / "own.safetensors"
    save_network(path, "lite", SINGLE, build("lite", SINGLE))

    assert extension_of(str(path)) == (None, ())


def edit_manifest(folder: Path, old: str, new: str) -> None:
    path = folder / "manifest.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize("carried", [True, False])
def test_without_the_file_nothing_is_extended(folder: Path, carried: bool) -> None:
    (folder / "several.safetensors").unlink()
    if not carried:
        edit_manifest(folder, 'base = "single"', 'base = "single"\ncarried = false')

    found, notes = extension_of("single")

    assert found is None
    if carried:
        assert "several cannot be used for fused faces: the weights several are not" in notes[0]
        assert "restored from the mean of their shots, by single" in notes[1]
    else:
        assert notes == ()


@pytest.mark.parametrize("change", ["flip", "cut", "empty"])
def test_an_altered_file_is_reported_before_anything_is_restored(folder: Path, change: str) -> None:
    path = folder / "several.safetensors"
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes({"flip": bytes(content), "cut": bytes(content[:-9]), "empty": b""}[change])

    with pytest.raises(WeightsCorruptError):
        network_of("single")


def retrain(folder: Path) -> None:
    """Replace the base by others of the same name, in the manifest as well."""
    path, before = folder / "single.safetensors", entry("single")
    torch.manual_seed(11)
    save_network(path, "lite", SINGLE, build("lite", SINGLE))
    edit_manifest(folder, before.sha256, sha256_of(path))


def lose(folder: Path) -> None:
    (folder / "single.safetensors").unlink()


def damage(folder: Path) -> None:
    path = folder / "single.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")


def restate(folder: Path) -> None:
    """Let the file state another base than its entry."""
    path, before = folder / "several.safetensors", entry("several")
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"base":"single"', b'"base":"sIngle"'))
    edit_manifest(folder, before.sha256, sha256_of(path))


BASES = [
    (retrain, "trained with other weights 'single'"),
    (lose, "the weights single are not on this machine"),
    (damage, "SHA-256 is"),
    (restate, "states the base 'single', the file 'sIngle'"),
]


@pytest.mark.parametrize(("change", "why"), BASES)
def test_another_or_missing_base_is_noted_before_anything_is_restored(
    folder: Path, change: Callable[[Path], None], why: str
) -> None:
    generator = open_generator("single", backend="torch")
    change(folder)

    found, notes = BurstNetwork.of(generator)

    assert found is None
    assert why in notes[0]
    assert "restored from the mean of their shots, by single" in notes[1]
    assert str(folder) not in " ".join(notes)


@pytest.mark.parametrize(("change", "why"), BASES)
def test_the_status_of_weights_is_that_of_their_base(
    folder: Path, change: Callable[[Path], None], why: str
) -> None:
    (before,) = weight_status(["several"], hashed=True)
    assert before.state == "verified"
    change(folder)

    (found,) = weight_status(["several"], hashed=True)

    assert found.state == "unusable"
    assert found.error is not None
    assert why in found.error.what


@pytest.mark.parametrize(("change", "why"), BASES)
def test_the_commands_name_another_or_missing_base(
    folder: Path, change: Callable[[Path], None], why: str
) -> None:
    assert run("weights", "verify", "several").exit_code == 0
    change(folder)

    result = run("weights", "verify", "several")
    (diagnosed,) = (one for one in diagnosis._weights() if one.name == "several")

    assert result.exit_code == 5
    assert "several: UNUSABLE" in result.output
    assert why in result.output
    assert diagnosed.state == "fault"
    assert why in diagnosed.detail


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


@pytest.mark.parametrize(
    ("change", "mode", "expected"),
    [
        (None, "both", "fused faces: several, float32 on cpu"),
        (retrain, "both", "several cannot be used for fused faces: was trained with other"),
        (restate, "crops", "several cannot be used for fused faces: the manifest states"),
        (retrain, "paste", None),
    ],
)
def test_a_run_says_before_its_first_frame_how_fused_faces_are_restored(
    folder: Path,
    change: Callable[[Path], None] | None,
    mode: Literal["both", "paste", "crops"],
    expected: str | None,
) -> None:
    if change is not None:
        change(folder)
    progress = Notes()
    settings = RestoreSettings(
        weights="single", detector="centerface", device="cpu", backend="torch", mode=mode
    )

    opened = models.open_models(settings, progress)

    said = [line for line in progress.lines if "fused" in line]
    assert bool(said) == (expected is not None)
    assert opened.weights is not None
    assert (opened.weights["burst"] is not None) == (change is None)
    if expected is not None:
        assert said[0].startswith(expected)
    if change is not None:
        assert list(opened.notes[: len(said)]) == said


@pytest.mark.parametrize("usable", [True, False])
def test_of_two_extensions_the_first_that_can_be_used_is_used(folder: Path, usable: bool) -> None:
    manifest, path = folder / "manifest.toml", folder / "more.safetensors"
    path.write_bytes((folder / "several.safetensors").read_bytes())
    more = manifest_entry(path, "burst", BURST, 'base = "single"')
    manifest.write_text(manifest.read_text("utf-8") + more, "utf-8")
    if not usable:
        (folder / "several.safetensors").unlink()

    found, (note,) = extension_of("single")

    assert found is not None
    assert found.entry.name == ("several" if usable else "more")
    assert note.startswith("more extends single as well" if usable else "several cannot be used")


@pytest.mark.parametrize("given", ["name", "file", "file that no manifest lists"])
@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_single_shots_are_not_restored_by_an_extension(
    folder: Path, tmp_path: Path, given: str, backend: str
) -> None:
    path = folder / "several.safetensors"
    if given == "file that no manifest lists":
        path = path.rename(tmp_path / "own.safetensors")
        edit_manifest(folder, entry("several").sha256, "0" * 64)

    with pytest.raises(UsageError, match=r"fused faces only.*--weights single"):
        open_generator("several" if given == "name" else str(path), backend=backend)


@pytest.mark.parametrize("count", [2, 5])
def test_the_picture_is_that_of_the_network(folder: Path, count: int) -> None:
    network = network_of("single")
    assert network is not None
    given = shots(count)

    pictures = network.restore(given)

    loaded = load_generator("several", "cpu", "float32").network
    restored = []
    for step in (1, -1):
        crops, visibility = given.crops[:, :, ::step].copy(), given.visibility[:, :, ::step].copy()
        with torch.no_grad():
            output = loaded(
                torch.from_numpy(crops.clip(0, 255) / 255).permute(0, 3, 1, 2)[None].float(),
                torch.from_numpy(visibility)[None, :, None],
                torch.from_numpy(given.weights)[None].float(),
            )
        restored.append(output.restored[0].permute(1, 2, 0).numpy()[:, ::step])
    expected = (np.mean(restored, axis=0).clip(0, 1) * 255).round()
    assert pictures.images.shape == (1, 128, 128, 3)
    assert pictures.occlusions.shape == (1, 128, 128)
    assert pictures.finite.tolist() == [True]
    assert np.abs(pictures.images[0].astype(float) - expected).max() <= 1


def test_the_scale_of_the_weights_does_not_matter(folder: Path) -> None:
    network = network_of("single")
    assert network is not None
    given = shots()

    one, other = (
        network.restore(replace(given, weights=factor * given.weights)) for factor in (1.0, 37.0)
    )

    assert np.abs(one.images.astype(int) - other.images).max() <= 1


def test_a_single_shot_is_that_of_the_generator(folder: Path) -> None:
    network = network_of("single")
    assert network is not None
    given = replace(shots(1), crops=np.rint(shots(1).crops.clip(0, 255)))

    pictures = network.restore(given)

    single = open_generator("single", backend="torch", precision="float32")
    expected = single.restore(given.crops.astype(np.uint8))
    assert np.array_equal(pictures.images, expected.images)
    assert np.abs(pictures.occlusions.astype(int) - expected.occlusions).max() <= 1


def test_values_that_are_not_finite_are_reported(folder: Path) -> None:
    network = network_of("single")
    assert network is not None
    network.restore(shots())
    loaded = network._loaded
    assert loaded is not None
    with torch.no_grad():
        next(loaded.network.parameters()).fill_(float("nan"))

    assert network.restore(shots()).finite.tolist() == [False]


def test_other_sizes_are_refused(folder: Path) -> None:
    network = network_of("single")
    assert network is not None
    large = replace(shots(), crops=np.zeros((3, 256, 256, 3), np.float32))

    with pytest.raises(UsageError, match="128"):
        network.restore(large)


def test_the_entry_states_its_base(folder: Path) -> None:
    assert entry("several").base == "single"
    assert entry("single").base is None
