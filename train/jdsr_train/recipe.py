"""Training recipes: frozen, validated dataclasses, one for each table of a recipe file.

Defaults are those of the paper (arXiv 2103.13676), or of its parent work FCSR-GAN where the paper
states none. Loss terms and stages that a recipe does not set are disabled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jdsr_cli.errors import UsageError, one_of, within
from jdsr_cli.synthesis.camera_settings import CameraSettings
from jdsr_cli.synthesis.tracks import TrackSettings
from jdsr_cli.weights.bases import BASE_PREFIXES
from jdsr_cli.weights.default import ON_GPU
from jdsr_train.loss_recipe import LossRecipe

STAGES = ("parser", "identity", "denoise", "joint")
"""In the order in which they run; each uses the results of earlier ones."""


BELOW_ONE = math.nextafter(1.0, 0.0)
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class GeneratorRecipe:
    """The network to train."""

    network: str = "lite"
    """Name of the network, see `jdsr_cli.networks.build`."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Arguments of the network. `landmarks` of the paper's generator defaults to the number in the
    data."""
    scale: int = 4
    """Scale factor from the side of the input to 128."""
    base: str | None = None
    """Name of the weights of the network's frozen part; `burst` needs them, other networks have no
    such part."""

    def __post_init__(self) -> None:
        within(self, 1, 128, "scale")
        if (self.network in BASE_PREFIXES) != (self.base is not None):
            state = "needs" if self.base is None else "has no part for"
            raise UsageError(f"the network {self.network!r} {state} other weights", where="base")
        if 128 % self.scale:
            raise UsageError(f"{self.scale} does not divide 128", where="scale")


@dataclass(frozen=True)
class DataRecipe:
    """The training data."""

    degradation: str = "paper"
    """`paper` or `camera`."""
    masked: float = 1.0
    """Share of masked faces, 0 to 1."""
    drawn_masks: int = 400
    """Number of drawn masks."""
    occluded: float = 0.0
    """Camera degradation: share of faces, masked or bare, that other objects cover, such as a hand,
    a cup, a visor or the border of the picture; these stay in the target."""
    lowered: float = 0.0
    """Camera degradation: share of masks below the nose or the chin."""
    canonical: bool = False
    """Camera degradation: whether inputs are photometrically canonical faces, as in `restore`."""
    crop: str = "138"
    """Crop of the official 178x218 images (SPEC 4.2): `138` is 138x138 at (20, 40), `138-left` the
    same at (30, 40), `178` the centre square, `aligned` a similarity by the five points."""
    heat_sigma: float = 1.5
    """Standard deviation of a landmark's heat map, in pixels of 64 (SPEC 3; the parent's: 1.75)."""
    noise_truth: str = "difference"
    """Target of the noise map: `difference`, |masked - clean|, or `alpha`, the share of each
    pixel that the mask covers (SPEC 2), as a level that suits eq. 8 (`losses.covered_level`).
    With blur and compression of a camera, only `alpha` identifies a mask."""

    def __post_init__(self) -> None:
        one_of(self.degradation, ("paper", "camera"), "degradation")
        one_of(self.crop, ("138", "138-left", "178", "aligned"), "crop")
        one_of(self.noise_truth, ("difference", "alpha"), "noise_truth")
        within(self, 0, 1, "masked", "occluded", "lowered")
        within(self, 0, math.inf, "drawn_masks")
        within(self, 0.1, 64, "heat_sigma")


@dataclass(frozen=True)
class OptimiserRecipe:
    """The optimisation of one network in one stage."""

    steps: int = 10_000
    """Number of steps."""
    batch: int = 16
    """Faces of a step, over all processes."""
    kind: str = "adamw"
    """`adamw`, `adam` or `sgd` (with Nesterov momentum betas[0])."""
    rate: float = 4e-4
    """Peak learning rate, after a linear warm-up."""
    schedule: str = "cosine"
    """`cosine` to a hundredth of the rate, `constant` with a linear `tail` to zero, or `halving` at
    given shares of the steps."""
    tail: float = 0.0
    """Share of the steps in which a `constant` rate falls to zero, 0 to 1."""
    halved_at: tuple[float, ...] = ()
    """Shares of the steps after which a `halving` rate is halved, 0 to 1."""
    warmup: int = 200
    """Steps of warm-up."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Adam's moment decays."""
    weight_decay: float = 1e-4
    """Weight decay; decoupled in `adamw`."""
    clip: float = 1.0
    """Largest gradient norm; 0 disables clipping."""
    ema: float = 0.999
    """Decay of the averaged weights, which are exported; 0 uses the last weights."""
    precision: str = "bfloat16"
    """Arithmetic of the forward pass: `bfloat16` or `float32`."""

    def __post_init__(self) -> None:
        within(self, 1, math.inf, "steps", "batch")
        within(self, 0, math.inf, "rate", "warmup", "weight_decay", "clip")
        within(self, 0, BELOW_ONE, "betas")
        within(self, 0, 1, "tail", "ema", "halved_at")
        one_of(self.kind, ("adamw", "adam", "sgd"), "kind")
        one_of(self.schedule, ("cosine", "constant", "halving"), "schedule")
        if bool(self.halved_at) != (self.schedule == "halving"):
            raise UsageError("belongs to the schedule `halving`, which needs it", where="halved_at")
        one_of(self.precision, ("bfloat16", "float32"), "precision")


PUBLISHED_WIDTHS = {
    "wasserstein": (64, 128, 256, 512, 512, 512),
    "patches": (64, 128, 256, 512),
    "light_cnn": (48, 96, 192, 128),
}
"""Channels of the stages of each kind of critic; of `wasserstein` the first convolution as well."""


@dataclass(frozen=True)
class CriticRecipe:
    """The critic of the joint stage (eq. 7, WGAN-GP), or the discriminator of a baseline."""

    kind: str = "wasserstein"
    """`wasserstein`, the critic of eq. 7; `patches`, the discriminator of FSRGAN, or `light_cnn`,
    that of DICGAN, both with binary cross-entropy. `fold`, `wasserstein` and `gradient_penalty` are
    those of `wasserstein` alone."""
    widths: tuple[int, ...] = ()
    """Channels of its stages, of `wasserstein` also of its first convolution; by default those of
    the publication (`PUBLISHED_WIDTHS`)."""
    fold: int = 1
    """Side of the blocks of pixels that are moved to channels first; 2 makes the critic four times
    as fast, which a CPU needs."""
    sees: str = "face"
    """Input of the critic: `face`, the restored face (PAPER section 3.3), or `covered`, the true
    face with only the covered part restored, so that only this part is sharpened."""
    wasserstein: float = 1e-3
    """Weight of the Wasserstein part; with eta 0.1 the effective penalty is 100 (SPEC 0.7)."""
    gradient_penalty: float = 0.1
    """eta of eq. 7."""
    steps_per_update: int = 5
    """Critic steps for each step of the generator."""
    rate: float = 1e-4
    """Learning rate of Adam, with the generator's schedule."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's moment decays."""

    def __post_init__(self) -> None:
        one_of(self.kind, tuple(PUBLISHED_WIDTHS), "kind")
        if not self.widths:
            object.__setattr__(self, "widths", PUBLISHED_WIDTHS[self.kind])
        one_of(self.sees, ("face", "covered"), "sees")
        within(self, 1, math.inf, "steps_per_update", "widths", "fold")
        within(self, 0, math.inf, "wasserstein", "gradient_penalty", "rate")
        within(self, 0, BELOW_ONE, "betas")


@dataclass(frozen=True)
class IdentityRecipe:
    """The identity network of eq. 15 (table 1), trained once and frozen afterwards."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of its four stages."""
    blocks: tuple[int, ...] = (2, 4, 8, 2)
    """Residual blocks of its four stages."""
    features: int = 512
    """Length of the feature."""
    scale: float = 30.0
    """s of the margin softmax (CosFace)."""
    margin: float = 0.35
    """m of the margin softmax."""
    degraded: float = 0.3
    """Share of faces that are downscaled by 4 or 8 and upscaled again."""
    optimiser: OptimiserRecipe = OptimiserRecipe(
        steps=60_000, batch=128, kind="sgd", rate=0.05, betas=(0.9, 0.999), weight_decay=5e-4,
        clip=5.0, ema=0.0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        within(self, 1, math.inf, "widths", "features")
        within(self, 0, math.inf, "blocks", "scale", "margin")
        within(self, 0, 1, "degraded")


@dataclass(frozen=True)
class ParserRecipe:
    """The face parser that labels the training faces."""

    width: int = 32
    """Channels of its first level."""
    optimiser: OptimiserRecipe = OptimiserRecipe(
        steps=20_000, batch=32, rate=1e-3, betas=(0.9, 0.999)
    )

    def __post_init__(self) -> None:
        within(self, 1, math.inf, "width")


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the result of a training run, except the data."""

    name: str
    earns: str | None = None
    """Registry name of the weights if they pass every gate (`jdsr_cli.weights.gates.GATES`):
    `camera`, the default on a GPU."""
    deviations: tuple[str, ...] = ()
    """How it differs from the publication of its network; kept with the weights. `{steps}`,
    `{batch}` and `{rate}` stand for those of the joint stage."""
    further_deviations: tuple[str, ...] = ()
    """Those of a variant, beside those of the recipe that it starts from."""
    starts_from: str | None = None
    """Recipe whose weights its publication starts the joint stage from (`--init`)."""
    stages: tuple[str, ...] = ("joint",)
    """The stages of `--stage all`; `joint` alone is the literal reading of the paper."""
    generator: GeneratorRecipe = GeneratorRecipe()
    data: DataRecipe = DataRecipe()
    camera: CameraSettings = field(default_factory=CameraSettings)
    """Parameters of the camera degradation."""
    track: TrackSettings = field(default_factory=TrackSettings)
    """Shots of a face, for the network `burst`; `data.occluded` and `data.lowered` do not apply."""
    loss: LossRecipe = field(default_factory=LossRecipe)
    optimiser: OptimiserRecipe = OptimiserRecipe()
    """Optimisation of the generator in the joint stage."""
    denoise: OptimiserRecipe = OptimiserRecipe()
    """Optimisation of the denoiser in the denoise stage."""
    critic: CriticRecipe = CriticRecipe()
    identity: IdentityRecipe = IdentityRecipe()
    parser: ParserRecipe = ParserRecipe()
    seed: int = 0
    """Seed of the weights, the order of faces, the masks and the camera degradation."""

    def __post_init__(self) -> None:
        for stage in self.stages:
            one_of(stage, STAGES, "stages")
        if not self.stages or len(set(self.stages)) < len(self.stages):
            raise UsageError(
                "at least one stage, and each once", where="stages", hint=f"Use {', '.join(STAGES)}"
            )
        if self.name in ("", "..") or Path(self.name).name != self.name:
            raise UsageError(f"{self.name!r} cannot be the name of a file", where="name")
        if self.earns is not None:
            one_of(self.earns, (ON_GPU,), "earns")
        if self.of_tracks and (self.data.degradation != "camera" or not self.data.canonical):
            raise UsageError(
                "tracks are recorded by the camera degradation, in canonical colours",
                where="data",
                hint='Set degradation = "camera" and canonical = true',
            )
        within(self, 0, MAX_SEED, "seed")

        if self.of_tracks:
            self._check_tracks()
        elif self.track != TrackSettings():
            raise UsageError(
                f"the network {self.generator.network!r} restores single faces, not tracks",
                where="track",
                hint="Leave the table out, or choose the network burst",
            )

    def _check_tracks(self) -> None:
        """Refuse what has no effect on tracks."""
        single = {
            "data: occluded": self.data.occluded, "data: lowered": self.data.lowered,
            "loss: jaw": self.loss.jaw, "loss: prior": self.loss.prior,
            "loss: super_identity": self.loss.super_identity,
        }  # fmt: skip
        for where, value in single.items():
            if value:
                raise UsageError(
                    "applies to single faces and not to tracks", where=where, hint="Set it to 0"
                )

    @property
    def stated_deviations(self) -> tuple[str, ...]:
        """How it differs from the publication of its network, with the numbers filled in."""
        options = self.optimiser
        numbers = {
            "{steps}": f"{options.steps:,}", "{batch}": f"{options.batch}",
            "{rate}": f"{options.rate:g}",
        }  # fmt: skip
        found = []
        for text in (*self.deviations, *self.further_deviations):
            for name, number in numbers.items():
                text = text.replace(name, number)
            found.append(text)
        return tuple(found)

    @property
    def of_tracks(self) -> bool:
        """Whether the generator restores tracks, not single faces."""
        return self.generator.network == "burst"

    def steps(self, stage: str) -> OptimiserRecipe:
        """Return the optimisation of a stage's main network."""
        return {
            "parser": self.parser.optimiser,
            "identity": self.identity.optimiser,
            "denoise": self.denoise,
            "joint": self.optimiser,
        }[stage]
