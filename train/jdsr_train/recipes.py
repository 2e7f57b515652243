"""Recipes: TOML files mapped to frozen, checked dataclasses. An unknown key is an error."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from jdsr_cli.errors import UsageError

FOLDER = Path(__file__).parent / "recipes"
_CHECKOUT = Path(__file__).parents[1] / "recipes"

T = TypeVar("T")


@dataclass(frozen=True)
class GeneratorRecipe:
    """Which network is trained."""

    network: str = "lite"
    """Name known to `jdsr_cli.networks.build`."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Passed to the network's configuration."""
    scale: int = 4
    """Enlargement of the low-resolution side to 128."""


@dataclass(frozen=True)
class DataRecipe:
    """What it is trained on."""

    degradation: str = "paper"
    """`paper` or `camera`."""
    masked: float = 1.0
    """Share of faces that wear a mask, 0 to 1."""
    drawn_masks: int = 400
    """Number of masks drawn by our own code."""
    native_width: tuple[float, float] = (12.0, 128.0)
    """Camera degradation: width of the face region on the sensor, in pixels."""

    def __post_init__(self) -> None:
        if self.degradation not in ("paper", "camera"):
            raise UsageError(f"degradation is {self.degradation!r}", hint="Use paper or camera")
        if not 0 <= self.masked <= 1:
            raise UsageError(f"masked is {self.masked}, a share from 0 to 1 is needed")


@dataclass(frozen=True)
class LossRecipe:
    """Weights of the loss terms."""

    pixel_hr: float = 1.0
    """Mean absolute error of the restored face."""
    decibel_hr: float = 0.0
    """Minus the PSNR of the restored face, per dB."""
    perceptual_hr: float = 0.0
    """Distance of frozen features of the restored face (eq. 11); needs a feature file."""
    perceptual_covered: float = 0.0
    """The same of the restored face with the truth wherever the mask did not cover it, so that it
    sharpens what was under a mask and leaves the rest alone. Ours."""
    perceptual_from: float = 0.0
    """Share of the steps after which the perceptual terms act, 0 to 1."""
    pixel_lr: float = 1.0
    """Mean absolute error of the denoised face (eq. 10)."""
    asymmetric: float = 0.5
    """Asymmetric error of the noise map (eq. 8)."""
    total_variation: float = 0.05
    """Smoothness of the noise map (eq. 9)."""
    occlusion: float = 0.0
    """Cross-entropy of the occlusion map; for generators that have a map of their own."""

    @property
    def features(self) -> bool:
        """Whether a term needs frozen features."""
        return max(self.perceptual_hr, self.perceptual_covered) > 0


@dataclass(frozen=True)
class OptimiserRecipe:
    """How the weights move."""

    steps: int = 10_000
    """Generator steps in all."""
    batch: int = 16
    """Faces in a step."""
    rate: float = 4e-4
    """Peak learning rate of AdamW; linear warm-up, then cosine to a hundredth of it."""
    warmup: int = 200
    """Steps of warm-up."""
    betas: tuple[float, float] = (0.9, 0.99)
    """AdamW's moment decays."""
    weight_decay: float = 1e-4
    """AdamW's decoupled weight decay."""
    clip: float = 1.0
    """Largest gradient norm."""
    ema: float = 0.999
    """Decay of the averaged weights, which are the ones that are kept."""
    precision: str = "bfloat16"
    """Arithmetic of the forward pass: `bfloat16` or `float32`."""

    def __post_init__(self) -> None:
        if min(self.steps, self.batch) < 1:
            raise UsageError("steps and batch must be at least 1", where="optimiser")
        if self.precision not in ("bfloat16", "float32"):
            raise UsageError(f"precision is {self.precision!r}", hint="Use bfloat16 or float32")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run but the place of its data."""

    name: str
    generator: GeneratorRecipe = GeneratorRecipe()
    data: DataRecipe = DataRecipe()
    loss: LossRecipe = LossRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    seed: int = 0
    """Of the weights, the order of faces, the masks and the cameras."""


def names() -> list[str]:
    """Return the recipes that come with the package."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load(name_or_path: str) -> Recipe:
    """Read a recipe by name or from a file.

    Raises:
        UsageError: No such recipe, an unknown key (the nearest is named), or a bad value.

    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = _folder() / f"{name_or_path}.toml"
    if not path.exists():
        near = difflib.get_close_matches(name_or_path, names(), 1, 0.0)
        raise UsageError(
            f"no recipe {name_or_path!r}", hint=f"Nearest: {near[0]}" if near else None
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UsageError(f"not readable as TOML ({error})", where=path) from error
    return _build(Recipe, {"name": path.stem, **values}, path.name)


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as plain values, as kept in checkpoints and manifests."""
    return dataclasses.asdict(recipe)


def _folder() -> Path:
    return FOLDER if FOLDER.is_dir() else _CHECKOUT


def _build(kind: type[T], values: dict[str, Any], where: str) -> T:
    hints = get_type_hints(kind)
    ready: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, 1, 0.0)
            raise UsageError(f"unknown key {key!r}", where=where, hint=f"Nearest: {near[0]}")
        ready[key] = _convert(hints[key], value, f"{where}: {key}")
    return kind(**ready)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise UsageError("a table is needed", where=where)
        return _build(hint, value, where)
    plain = getattr(hint, "__origin__", hint)
    if plain is tuple and isinstance(value, list):
        parts = hint.__args__
        if len(value) != len(parts):
            raise UsageError(f"{len(parts)} values are needed, not {len(value)}", where=where)
        return tuple(_convert(*pair, where) for pair in zip(parts, value, strict=True))
    if plain is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, plain) or (isinstance(value, bool) and plain is not bool):
        raise UsageError(f"{value!r} is not of type {plain.__name__}", where=where)
    return value
