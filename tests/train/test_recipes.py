"""Recipes: the shipped ones, and errors in recipe files."""

import dataclasses
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from jdsr_cli.errors import UsageError
from jdsr_cli.networks import build
from jdsr_cli.settings.training import Model
from jdsr_train import recipe_files
from jdsr_train.components import recipe_arguments, sample_settings
from jdsr_train.loss_recipe import LossRecipe


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


WEIGHT_NAMES = {
    "lease_x4": "paper_x4",
    "lease_x8": "paper_x8",
    "camera": "paper_camera",
    "lease_camera": "paper_camera",
    "lease_lite_camera": "lite_camera",
    "lease_lite_large_camera": "lite_large_camera",
}
"""Names of the weights of recipes, where they differ from the recipe's name."""


BASELINES = [
    f"{model}_x{scale}"
    for model in get_args(Model)
    if model not in ("lite", "paper")
    for scale in (4, 8)
]


def test_the_shipped_recipes_are_complete() -> None:
    assert set(recipe_files.names()) == {
        "lite_x4", "lite_x8", "lite_camera", "lite_large_camera", "camera", "lite_burst",
        "paper_x4", "paper_x8", "short_x4", "short_x8",
        "lease_x4", "lease_x8", "lease_camera", "lease_lite_camera", "lease_lite_large_camera",
        "without_attention", "without_identity", "without_perceptual", "without_smooth",
        "without_style",
        *BASELINES,
        "paper_x4_small", "without_attention_small", "without_identity_small",
        "without_perceptual_small", "without_smooth_small", "without_style_small",
        "cbdnet_x4_small", "dic_x4_small", "dicgan_x4_small", "drn_x4_small", "fsrgan_x4_small",
        "sicnn_x4_small", "srfbn_x4_small",
    }  # fmt: skip


@pytest.mark.parametrize("name", recipe_files.names())
def test_every_shipped_recipe_loads_and_builds_its_network(name: str) -> None:
    recipe = recipe_files.load(name)
    assert recipe.name == WEIGHT_NAMES.get(name, name)
    with torch.device("meta"):
        network = build(recipe.generator.network, recipe_arguments(recipe))
    settings = sample_settings(recipe)
    assert network.lr_size == settings.lr_size == 128 // recipe.generator.scale
    assert settings.degradation == recipe.data.degradation
    assert settings.masked == recipe.data.masked
    assert settings.camera == recipe.camera
    assert recipe.optimiser.warmup < recipe.optimiser.steps


def test_the_paper_recipe_has_the_weights_of_the_paper() -> None:
    recipe = recipe_files.load("paper_x4")
    loss = recipe.loss
    assert (loss.asymmetric, loss.total_variation, loss.style_lr) == (0.5, 0.05, 10.0)
    assert (loss.perceptual_lr, loss.pixel_lr, loss.smooth_lr) == (0.1, 1.0, 1.0)
    assert (loss.prior, loss.prior_landmarks, loss.prior_parsing) == (1.0, 1.0, 0.1)
    assert (loss.perceptual_hr, loss.pixel_hr, loss.smooth_hr) == (0.1, 1.0, 0.01)
    assert (loss.identity, loss.adversarial, recipe.critic.gradient_penalty) == (1.0, 1e-3, 0.1)
    assert (recipe.optimiser.rate, recipe.optimiser.betas) == (1e-4, (0.5, 0.999))


@pytest.mark.parametrize("name", ["lease_x4", "lease_x8", "lease_camera"])
def test_a_short_run_has_the_whole_loss_of_the_paper(name: str) -> None:
    whole, recipe = recipe_files.load("paper_x4").loss, recipe_files.load(name)
    late = {"identity_from", "adversarial_from"}
    grid = {"smooth_lr"} if name == "lease_camera" else set()  # SPEC 0.5: it blurs a sharp grid
    differing = {key for key, value in vars(whole).items() if vars(recipe.loss)[key] != value}
    assert differing == late | grid
    assert recipe.loss.identity_from == recipe.loss.adversarial_from == 0.4
    assert recipe.critic.steps_per_update == 1
    assert recipe.optimiser.ema == 0.999
    assert 32 <= recipe.optimiser.batch <= 64


def test_the_stages_before_the_joint_one_are_short_in_a_lease() -> None:
    recipe = recipe_files.load("lease_x4")
    steps = {stage: recipe.steps(stage).steps for stage in ("parser", "identity", "denoise")}
    assert steps == {"parser": 1500, "identity": 2000, "denoise": 1000}


@pytest.mark.parametrize("name", ["lite_camera", "lite_large_camera"])
def test_a_lease_of_a_light_generator_changes_only_batch_rates_and_video(name: str) -> None:
    whole, lease = recipe_files.load(name), recipe_files.load(f"lease_{name}")
    optimiser = dataclasses.replace(lease.optimiser, batch=16, rate=3e-4)
    critic = dataclasses.replace(lease.critic, rate=1e-4)
    camera = dataclasses.replace(lease.camera, video=0.25)
    assert whole == dataclasses.replace(lease, optimiser=optimiser, critic=critic, camera=camera)
    assert (lease.optimiser.batch, lease.optimiser.rate) == (64, 6e-4)
    assert (lease.critic.rate, lease.camera.video) == (2e-4, 0.0)


@pytest.mark.parametrize("name", recipe_files.names())
def test_generator_and_data_have_the_same_kind_of_noise_map(name: str) -> None:
    recipe = recipe_files.load(name)
    footage = name in ("camera", "lease_camera")
    assert recipe.data.noise_truth == ("alpha" if footage else "difference")
    extra = {"noise": "alpha"} if footage else {}
    assert recipe_arguments(recipe) == recipe.generator.arguments | extra


@pytest.mark.parametrize(("learnt", "read"), [("alpha", "difference"), ("difference", "alpha")])
def test_different_kinds_of_noise_map_are_refused(learnt: str, read: str, tmp_path: Path) -> None:
    text = f'[generator]\nnetwork = "jdsr"\narguments = {{ noise = "{read}" }}\n'
    recipe = recipe_files.load(write(tmp_path, f'{text}[data]\nnoise_truth = "{learnt}"\n'))
    with pytest.raises(UsageError, match=f"learns '{learnt}' and is read as '{read}'"):
        recipe_arguments(recipe)


def test_a_light_generator_has_no_kind_of_noise_map(tmp_path: Path) -> None:
    recipe = recipe_files.load(write(tmp_path, '[data]\nnoise_truth = "alpha"\n'))
    assert recipe_arguments(recipe) == {}


def flops(name: str) -> int:
    """Count the floating-point operations of a recipe's network on one face."""
    recipe = recipe_files.load(name)
    with torch.device("meta"):
        network = build(recipe.generator.network, recipe.generator.arguments).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, network.lr_size, network.lr_size))
    return counter.get_total_flops()


def test_the_large_light_generator_differs_only_in_width() -> None:
    small, large = recipe_files.load("lite_camera"), recipe_files.load("lite_large_camera")
    assert 3.5 < flops("lite_large_camera") / flops("lite_camera") < 4.5
    for part in ("stages", "data", "camera", "loss", "critic"):
        assert getattr(small, part) == getattr(large, part), part
    wider = {"widths", "tail_width"}
    arguments = large.generator.arguments
    assert set(arguments) - set(small.generator.arguments) == wider
    common = {key: value for key, value in arguments.items() if key not in wider}
    assert dataclasses.replace(large.generator, arguments=common) == small.generator


def test_camera_samples_include_sharp_faces() -> None:
    recipe = recipe_files.load("lease_camera")
    data = recipe.data
    assert (data.degradation, data.masked, recipe.camera.pristine) == ("camera", 0.5, 0.1)
    assert recipe.camera.native_width == (12.0, 128.0)


def test_only_generators_for_footage_can_earn_a_default(tmp_path: Path) -> None:
    earning = [recipe for recipe in map(recipe_files.load, recipe_files.names()) if recipe.earns]
    assert {"paper_camera"} <= {recipe.name for recipe in earning}
    assert recipe_files.load("camera").earns == recipe_files.load("lease_camera").earns == "camera"
    assert recipe_files.load(write(tmp_path, 'base = "lease_camera"')).earns == "camera"
    assert recipe_files.load("lite_camera").earns is None
    for recipe in earning:
        assert (recipe.data.degradation, recipe.generator.scale) == ("camera", 1)
        assert recipe.name != recipe.earns


@pytest.mark.parametrize(
    ("whole", "suffix"), [("paper_x4", ""), ("paper_x4_small", "_small")], ids=["paper", "small"]
)
@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("style", {"style_lr"}),
        ("perceptual", {"perceptual_lr", "perceptual_hr"}),
        ("identity", {"identity"}),
        ("smooth", {"smooth_lr", "smooth_hr"}),
        ("attention", set()),
    ],
)
def test_an_ablation_changes_only_its_terms(
    name: str, changed: set[str], whole: str, suffix: str
) -> None:
    complete, without = recipe_files.load(whole), recipe_files.load(f"without_{name}{suffix}")
    terms = vars(complete.loss)
    differing = {key for key, value in terms.items() if vars(without.loss)[key] != value}
    same = ("data", "optimiser", "denoise", "critic", "seed")
    assert all(getattr(complete, part) == getattr(without, part) for part in same)
    assert differing == changed
    assert all(vars(without.loss)[key] == 0 for key in changed)
    assert without.generator.arguments.get("attention", True) is (name != "attention")


def test_a_base_is_loaded_and_overridden_key_by_key(tmp_path: Path) -> None:
    recipe = recipe_files.load(write(tmp_path, 'base = "paper_x8"\n[loss]\nstyle_lr = 1\n'))
    assert recipe.name == "own"
    assert recipe.generator.scale == 8
    assert recipe.generator.arguments == {"lr_size": 16, "grid": "hr"}
    assert (recipe.loss.style_lr, recipe.loss.perceptual_lr) == (1.0, 0.1)


def test_a_circular_base_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    with pytest.raises(UsageError, match="circular"):
        recipe_files.load(write(tmp_path, f'base = "{path}"'))


def test_a_shortened_recipe_has_few_steps_in_every_stage() -> None:
    recipe = recipe_files.shortened(recipe_files.load("paper_x4"), 7)
    assert {stage: recipe.steps(stage).steps for stage in recipe.stages} == dict.fromkeys(
        recipe.stages, 7
    )
    assert recipe.loss == recipe_files.load("paper_x4").loss


def test_footage_is_trained_with_and_without_masks_at_every_width() -> None:
    recipe = recipe_files.load("lite_camera")
    assert recipe.data.degradation == "camera"
    assert recipe.data.masked == 0.5
    assert recipe.camera.native_width == (12.0, 128.0)


def test_keys_absent_from_a_file_have_their_defaults(tmp_path: Path) -> None:
    recipe = recipe_files.load(
        write(tmp_path, "seed = 9\n[optimiser]\nrate = 1\nbetas = [0, 0.5]\n")
    )
    assert recipe.name == "own"
    assert recipe.seed == 9
    assert recipe.optimiser.rate == 1.0
    assert isinstance(recipe.optimiser.rate, float)
    assert recipe.optimiser.betas == (0.0, 0.5)
    assert all(isinstance(beta, float) for beta in recipe.optimiser.betas)
    assert recipe.loss == LossRecipe()
    assert recipe_files.load(write(tmp_path, 'name = "other"')).name == "other"


def test_a_recipe_can_be_converted_to_a_dictionary(tmp_path: Path) -> None:
    values = recipe_files.to_dict(recipe_files.load("lite_x4"))
    assert values["generator"]["arguments"] == {"lr_size": 32}
    assert values["optimiser"]["batch"] == 16


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[optimizer]\nsteps = 3", ("optimizer", "optimiser")),
        ("[optimiser]\nstep = 3", ("step", "steps")),
        ("[loss]\npixel = 1.0", ("pixel", "pixel_")),
        ("[data]\nmask = 0.5", ("mask", "masked")),
    ],
)
def test_an_unknown_key_names_the_nearest(
    text: str, named: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        recipe_files.load(write(tmp_path, text))
    unknown, nearest = named
    assert f"unknown key {unknown!r}" in str(caught.value)
    assert f"Nearest: {nearest}" in str(caught.value)
    assert "own.toml" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[optimiser]\nsteps = 3.5",
        '[optimiser]\nsteps = "many"',
        "[optimiser]\nsteps = true",
        "[optimiser]\nrate = true",
        "[optimiser]\nbetas = 0.9",
        "[optimiser]\nbetas = [0.9]",
        '[camera]\nnative_width = [12, "wide"]',
        "[camera]\nnative_width = [12, 64, 128]",
        "[generator]\nnetwork = 4",
        "[generator]\narguments = [32]",
        "optimiser = 3",
        "earns = 3",
    ],
)
def test_values_of_another_type_are_refused_with_their_key(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        recipe_files.load(write(tmp_path, text))
    key = text.splitlines()[-1].split(" = ")[0]
    assert key in str(caught.value)
    assert "own.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[optimiser]\nsteps = 0", "at least 1"),
        ("[optimiser]\nbatch = -2", "at least 1"),
        ('[optimiser]\nprecision = "int8"', "optimiser: precision: 'int8' is not known"),
        ('[data]\ndegradation = "fog"', "data: degradation: 'fog' is not known"),
        ("[data]\nmasked = 1.5", "masked: 1.5 is out of range"),
        ("[camera]\npristine = 2.0", "pristine: 2 is out of range"),
        ('stages = ["joint", "polish"]', "stages: 'polish' is not known"),
        ("[loss]\npixel_hr = -1.0", "own.toml: loss: pixel_hr: -1 is out of range, at least 0"),
        ("[loss]\npixel_hr = nan", "loss: pixel_hr: nan is out of range"),
        ("[optimiser]\nbatch = 0", "optimiser: batch: 0 is out of range, at least 1 is required"),
        ("[optimiser]\nrate = -1.0", "optimiser: rate: -1 is out of range"),
        (f"[optimiser]\nrate = 1{400 * '0'}", "optimiser: rate: the number is too large"),
        ("[optimiser]\nwarmup = -1", "optimiser: warmup: -1 is out of range"),
        ("[optimiser]\nbetas = [2.0, 0.9]", "optimiser: betas: 2 is out of range"),
        ("[identity.optimiser]\nclip = nan", "identity: optimiser: clip: nan is out of range"),
        ("[identity]\nfeatures = 0", "identity: features: 0 is out of range"),
        ("[critic]\nwidths = [4, 0]", "critic: widths: 0 is out of range"),
        ("[parser]\nwidth = 0", "parser: width: 0 is out of range"),
        ("[data]\ndrawn_masks = -1", "data: drawn_masks: -1 is out of range"),
        ("[camera]\nnative_width = [9.0, 4.0]", "native_width: the smaller value comes first"),
        ("[generator]\nscale = 0", "generator: scale: 0 is out of range"),
        ("[generator]\nscale = 3", "generator: scale: 3 does not divide 128"),
        ("stages = []", "stages: at least one stage"),
        ('stages = ["joint", "joint"]', "stages: at least one stage"),
        ('earns = "lite-camera"', "earns: 'lite-camera' is not known"),
        ('name = "../x"', "cannot be the name of a file"),
        ("seed = -1", "seed: -1 is out of range"),
        ("[loss]\nadversarial_from = 1.5", "adversarial_from: 1.5 is out of range"),
        ("[critic]\nsteps_per_update = 0", "at least 1"),
        ("[optimiser", "not readable as TOML"),
    ],
)
def test_invalid_values_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        recipe_files.load(write(tmp_path, text))


def test_an_unknown_recipe_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no recipe 'lite-x4'\. Nearest: lite_x4"):
        recipe_files.load("lite-x4")
    with pytest.raises(UsageError, match="no recipe"):
        recipe_files.load(str(tmp_path / "absent.toml"))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(b"\xff\xfe name")
    with pytest.raises(UsageError, match="not readable as TOML"):
        recipe_files.load(str(path))


@pytest.mark.parametrize("name", BASELINES)
def test_super_resolvers_learn_from_bare_faces_and_cbdnet_from_masked_ones(name: str) -> None:
    recipe = recipe_files.load(name)
    assert recipe.data.masked == (1.0 if name.startswith("cbdnet") else 0.0)
    assert recipe.data.degradation == "paper"
    assert 128 // recipe.generator.scale == recipe.generator.arguments["lr_size"]


def test_small_recipes_have_one_schedule() -> None:
    schedules = [
        recipe_files.load(name).optimiser
        for name in recipe_files.names()
        if name.endswith("_small")
    ]
    assert len(schedules) == 13
    assert all(
        (one.rate, one.betas, one.schedule, one.batch, one.clip, one.warmup, one.precision)
        == (1e-3, (0.9, 0.99), "cosine", 8, 1.0, 20, "float32")
        for one in schedules
    )


def test_critics_have_the_widths_of_their_kind_unless_others_are_given(tmp_path: Path) -> None:
    assert recipe_files.load("paper_x4").critic.widths == (64, 128, 256, 512, 512, 512)
    assert recipe_files.load("fsrgan_x4").critic.widths == (64, 128, 256, 512)
    text = 'base = "fsrgan_x4"\n[critic]\nkind = "light_cnn"\n'
    assert recipe_files.load(write(tmp_path, text)).critic.widths == (48, 96, 192, 128)
    text += "widths = [4, 8]\n"
    assert recipe_files.load(write(tmp_path, text)).critic.widths == (4, 8)


@pytest.mark.parametrize("schedule", ['"cosine"\nhalved_at = [0.5]', '"halving"'])
def test_halvings_belong_to_their_schedule(schedule: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="halved_at: belongs to the schedule `halving`"):
        recipe_files.load(write(tmp_path, f"[optimiser]\nschedule = {schedule}\n"))
