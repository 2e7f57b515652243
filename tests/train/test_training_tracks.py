"""Training on tracks: samples and batches, validation, and whole runs of a tiny network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_generator import manifest_entry, tiny_arguments
from torch import Tensor, nn

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader, SampleSettings
from jdsr_cli.errors import TrainingError, UsageError, WeightsError
from jdsr_cli.networks import BurstGenerator, GeneratorOutput, build
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.tracks import TrackSettings, record_track
from jdsr_cli.weights import entry, load_generator, save_network
from jdsr_train import recipe_files
from jdsr_train.data import tracks as tracks_data
from jdsr_train.data.tracks import MISSED, PackedTracks, TrackSamples, known_of
from jdsr_train.dry_run import plan_training
from jdsr_train.recipe import Recipe
from jdsr_train.request import RunSettings, TrainRequest
from jdsr_train.run import train
from jdsr_train.stages import track_validation
from jdsr_train.stages.track_validation import TrackValidation
from jdsr_train.training.monitoring import LOG

CAMERA = CameraSettings(native_width=(30.0, 60.0), infrared=0.3, dark=0.2)
SINGLE = tiny_arguments(128)
RECIPE = """
[generator]
network = "burst"
scale = 1
base = "single"
arguments = { lr_size = 128, widths = [16, 16], encoder_blocks = [1, 1], decoder_blocks = [1], \
tail_width = 16, tail_blocks = 1, weight_width = 8, rank = 2 }

[data]
degradation = "camera"
canonical = true
masked = 0.5
drawn_masks = 4

[camera]
native_width = [30.0, 60.0]

[track]
shots = [2, 3]

[loss]
asymmetric = 0.0
total_variation = 0.0
pixel_lr = 0.0
occlusion = 0.1

[optimiser]
steps = 4
batch = 2
warmup = 1
precision = "float32"
"""


def degrader(masked: float = 0.5) -> Degrader:
    settings = SampleSettings(128, "camera", masked, CAMERA, canonical=True)
    return Degrader(draw_sprites(4, 1), settings)


def samples(
    faces: FaceSet, *, masked: float = 0.5, size: int = 4, shots: tuple[int, ...] = (2, 3, 5)
) -> TrackSamples:
    return TrackSamples(faces, degrader(masked), TrackSettings(shots=shots), 3, size)


def equal(one: PackedTracks, other: PackedTracks) -> bool:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)


def test_a_sample_depends_on_its_number_alone(face_set: FaceSet) -> None:
    one, other = samples(face_set), samples(face_set)
    for number in (0, 7, 23):
        other[number + 1]
        first, second = one[number], other[number]
        for name, value in vars(first).items():
            assert np.array_equal(value, getattr(second, name)), name
    assert not np.array_equal(one[0].hr, one[6].hr)


def test_all_tracks_of_a_batch_have_the_same_number_of_shots(face_set: FaceSet) -> None:
    batches = list(samples(face_set).batches(4, 0, 8, 0))

    counts = [batch.shots.shape[1] for batch in batches]
    assert set(counts) == {2, 3, 5}
    for batch, count in zip(batches, counts, strict=True):
        assert batch.shots.shape == (4, count, 128, 128, 3)
        assert batch.visibility.shape == (4, count, 128, 128)
        assert batch.weights.shape == (4, count)
        assert batch.weights.min() > 0


def test_processes_share_the_batches_of_one(face_set: FaceSet) -> None:
    (whole,) = samples(face_set).batches(4, 2, 3, 0)
    parts = [next(samples(face_set).batches(2, 2, 3, 0, rank=rank, world=2)) for rank in range(2)]

    assert torch.equal(whole.shots, torch.cat([part.shots for part in parts]))


def test_a_run_can_continue_at_any_batch(face_set: FaceSet) -> None:
    stream = list(samples(face_set).batches(4, 0, 4, 0))
    (last,) = samples(face_set).batches(4, 3, 4, 0)

    assert equal(stream[3], last)


def test_a_batch_has_the_inputs_and_targets_of_the_losses(face_set: FaceSet) -> None:
    (packed,) = samples(face_set, masked=1.0).batches(4, 0, 1, 0)
    batch = packed.unpack("cpu")

    assert batch.track is not None
    shots, visibility, weights = batch.track
    assert torch.equal(batch.lr, shots[:, 0])
    assert batch.inputs == batch.track
    assert shots.shape[:3] == (4, packed.shots.shape[1], 3)
    assert visibility.shape[:3] == (*shots.shape[:2], 1)
    assert weights.shape == shots.shape[:2]
    for part in (shots, visibility, batch.hr, batch.occlusion):
        assert part.min() >= 0
        assert part.max() <= 1


def test_only_what_all_shots_cover_is_covered(face_set: FaceSet) -> None:
    rng, settings = np.random.default_rng(2), TrackSettings()
    face, landmarks = np.asarray(face_set.images[0]), face_set.landmarks[0]
    for masked, covered in (((True, True), True), ((True, False), False), ((False,) * 3, False)):
        track = record_track(
            face, landmarks, masked, draw_sprites(2, 1), 128, rng, CAMERA, settings, canonical=True
        )
        assert (known_of(track, rng).occlusion.max() > 0.5) == covered


def test_visibility_is_estimated_from_the_masks(face_set: FaceSet) -> None:
    rng = np.random.default_rng(1)
    face, landmarks = np.asarray(face_set.images[0]), face_set.landmarks[0]
    found = []
    for _ in range(20):
        track = record_track(
            face, landmarks, (True, False), draw_sprites(2, 1), 128, rng, CAMERA, TrackSettings()
        )
        masked, bare = known_of(track, rng).visibility.astype(float) / 255
        assert bare.min() == 1.0
        found.append(float(np.abs(masked - (1 - track.occlusions[0])).mean()))
    assert 0.0 < np.median(found) < 0.05
    assert 0.0 < MISSED < 0.1


def test_later_shots_have_the_tone_of_the_first(face_set: FaceSet) -> None:
    rng = np.random.default_rng(5)
    bright = replace(TrackSettings(), light=0.25, hand=0.0)
    face, landmarks = np.asarray(face_set.images[3]), face_set.landmarks[3]
    track = record_track(
        face, landmarks, (False,) * 6, [], 128, rng, CAMERA, bright, canonical=False
    )

    matched = known_of(track, rng).shots.astype(float)
    inside = (slice(None), slice(40, 110), slice(40, 90))
    spreads = [frames[inside].mean((1, 2, 3)).std() for frames in (track.frames, matched)]
    assert spreads[1] < 0.35 * spreads[0]


class MeanShot(nn.Module):
    """Returns the mean of its shots."""

    def forward(self, shots: Tensor, visibility: Tensor, weights: Tensor) -> GeneratorOutput:
        mean = shots.mean(1)
        nothing = torch.zeros_like(mean)
        return GeneratorOutput(mean, mean, nothing, nothing[:, :1])


@pytest.mark.parametrize(("masked", "kinds"), [(0.5, 3), (0.0, 1)])
def test_validation_measures_each_kind_of_track(
    face_set: FaceSet, tmp_path: Path, masked: float, kinds: int
) -> None:
    source = degrader(masked) if masked else Degrader([], degrader(0.0).settings)
    still = TrackSettings(
        shots=(2, 4), shift=(0.0, 0.0), rotation=(0.0, 0.0), zoom=(0.0, 0.0), stretch=0.0,
        warp=0.0, expression=0.0, light=0.0, misregistered=0.0, hand=0.0,
    )  # fmt: skip
    validation = TrackValidation(face_set, source, still, tmp_path, 3, torch.device("cpu"))

    metrics = validation.metrics(MeanShot())

    assert len(validation.tracks) == kinds
    assert metrics["plain_psnr_gain"] > 0.3
    assert "plain_psnr_covered" not in metrics
    assert (tmp_path / "panel.png").is_file()
    assert "validation_faces" not in metrics
    if masked:
        assert metrics["masked_psnr_covered"] < metrics["uncovered_psnr_covered"]


def test_validation_stops_in_time(
    face_set: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track_validation, "BATCH", 2)
    validation = TrackValidation(
        face_set, degrader(0.0), TrackSettings(shots=(2,)), tmp_path, 20, torch.device("cpu")
    )

    metrics = validation.metrics(MeanShot(), until=0.0)

    assert metrics["validation_faces"] == 6
    assert "plain_psnr_gain" not in metrics


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A tiny recipe; the weights that it names are the only ones."""
    folder = tmp_path / "weights"
    torch.manual_seed(0)
    path = folder / "single.safetensors"
    save_network(path, "lite", SINGLE, build("lite", SINGLE))
    (folder / "manifest.toml").write_text(manifest_entry(path, "lite", SINGLE), encoding="utf-8")
    monkeypatch.setenv("JDSR_WEIGHTS", str(folder))
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    return recipe_files.load(str(tmp_path / "tiny.toml"))


@pytest.fixture
def request_of(
    recipe: Recipe,
    write_faces: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., TrainRequest]:
    monkeypatch.setattr(track_validation, "LOSS_BATCHES", 1)
    faces = write_faces(tmp_path / "faces", ("train.tar", "val.tar"))

    def make(name: str, chosen: Recipe = recipe) -> TrainRequest:
        settings = RunSettings(
            tmp_path / name, workers=0, checkpoint_every=2, validate_every=2, log_every=1
        )
        return TrainRequest(chosen, faces, settings, cache=tmp_path / "cache", validation_faces=2)

    return make


def test_a_run_trains_resumes_and_writes_weights_that_load(
    request_of: Callable[..., TrainRequest], recipe: Recipe, tmp_path: Path
) -> None:
    whole = train(request_of("whole"))[-1]

    short = replace(recipe, optimiser=replace(recipe.optimiser, steps=4))
    first = request_of("parts", short)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrackValidation, "metrics", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(first)
    parts = train(request_of("parts"))[-1]

    assert whole.path.read_bytes() == parts.path.read_bytes()
    assert {"plain_psnr", "plain_psnr_gain", "validation_loss"} <= whole.metrics.keys()
    loaded, single = load_generator(whole.path, "cpu", "float32"), load_generator("single", "cpu")
    assert isinstance(loaded.network, BurstGenerator)
    shots = torch.rand(1, 3, 3, 128, 128)
    assert torch.equal(loaded(shots[:, 0]).restored, single(shots[:, 0]).restored)
    with torch.no_grad():
        several = loaded.network(shots).restored
        assert not torch.equal(several, single(shots.mean(1)).restored)
    terms = (tmp_path / "whole" / "joint" / LOG).read_text(encoding="utf-8")
    assert "share_pixel_hr" in terms


def _interrupt(*_: object) -> dict[str, float]:
    raise KeyboardInterrupt


def test_another_base_does_not_continue_a_run(
    request_of: Callable[..., TrainRequest], tmp_path: Path
) -> None:
    train(request_of("run"))
    torch.manual_seed(9)
    path = tmp_path / "weights" / "single.safetensors"
    manifest = tmp_path / "weights" / "manifest.toml"
    old = entry("single").sha256
    digest = save_network(path, "lite", SINGLE, build("lite", SINGLE))
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(old, digest), "utf-8")

    with pytest.raises(TrainingError):
        train(request_of("run"))


def test_a_base_of_another_shape_is_refused(
    request_of: Callable[..., TrainRequest], recipe: Recipe
) -> None:
    arguments = {**recipe.generator.arguments, "widths": [16, 24]}
    other = replace(recipe, generator=replace(recipe.generator, arguments=arguments))

    with pytest.raises(WeightsError, match="do not fit the network"):
        train(request_of("run", other))


def test_the_run_can_be_timed_without_data(request_of: Callable[..., TrainRequest]) -> None:
    plan = plan_training(request_of("plan"))

    (stage,) = plan.stages
    assert stage.stage == "joint"
    assert stage.steps == 4
    assert stage.speed.computing > 0


@pytest.mark.parametrize(
    "changes",
    [
        'network = "burst"',
        'network = "lite"\nbase = "lite-camera"',
        'network = "jdsr"\nbase = "lite-camera"',
    ],
)
def test_a_base_belongs_to_networks_with_a_frozen_part(tmp_path: Path, changes: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f"[generator]\n{changes}\nscale = 1\n", encoding="utf-8")

    with pytest.raises(UsageError, match="other weights"):
        recipe_files.load(str(path))


@pytest.mark.parametrize("data", ['degradation = "paper"', "canonical = false"])
def test_tracks_need_the_camera_in_canonical_colours(tmp_path: Path, data: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f'base = "lite_burst"\n[data]\n{data}\n', encoding="utf-8")

    with pytest.raises(UsageError, match="tracks are recorded"):
        recipe_files.load(str(path))


@pytest.mark.parametrize("seed", range(3))
def test_a_hand_in_front_of_a_mask_uncovers_nothing(face_set: FaceSet, seed: int) -> None:
    rng = np.random.default_rng(seed)
    settings = replace(TrackSettings(), hand=1.0)
    face, landmarks = np.asarray(face_set.images[0]), face_set.landmarks[0]
    track = record_track(
        face, landmarks, (True,) * 6, draw_sprites(2, 1), 128, rng, CAMERA, settings, canonical=True
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracks_data, "MISSED", 0.0)
        sample = known_of(track, rng)

    covered = track.worn.min(0) > 0.9
    assert covered.sum() > 500
    assert sample.occlusion[covered].min() > 0.9
    assert sample.visibility[:, covered].mean() < 40


@pytest.mark.parametrize(
    "change",
    [
        "[loss]\njaw = 4.0", "[data]\noccluded = 0.1", "[data]\nlowered = 0.2",
        "[loss]\nprior = 1.0", "[loss]\nsuper_identity = 1.0",
    ],
)  # fmt: skip
def test_what_has_no_effect_on_tracks_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f'base = "lite_burst"\n{change}\n', encoding="utf-8")

    with pytest.raises(UsageError, match="not to tracks"):
        recipe_files.load(str(path))


@pytest.mark.parametrize("base", ["lite_camera", "camera", "paper_x4"])
def test_tables_of_tracks_belong_to_networks_of_tracks(tmp_path: Path, base: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f'base = "{base}"\n[track]\nwarp = 1.0\n', encoding="utf-8")

    with pytest.raises(UsageError, match="single faces"):
        recipe_files.load(str(path))
