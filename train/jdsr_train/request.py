"""What a training run is asked to do, and where it leaves its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jdsr_train.clock import Deadline
from jdsr_train.recipe import Recipe

OWN_PARSER = "own"


@dataclass(frozen=True)
class RunSettings:
    """Where and how a recipe is run; none of it changes the result."""

    out: Path
    """Folder of the run; a folder in it for each stage."""
    device: str = "cpu"
    workers: int = 1
    """Processes that prepare samples, for each process that trains."""
    checkpoint_every: int | None = None
    """Steps; None saves where a minute has passed, of several processes at a step
    that is logged."""
    validate_every: int | None = 500
    """Steps; the terms' shares of the gradient are measured as often. None: at the end only."""
    log_every: int = 50
    """Steps."""
    compiled: bool = False
    """Whether the kept player's network is compiled (`torch.compile`): it takes a minute or so,
    and its rounding is not that of a run without."""


@dataclass(frozen=True)
class TrainRequest:
    """What `jdsr train` is asked to do."""

    recipe: Recipe
    data: Path
    """An official CelebA folder, a folder or archives of faces, or prepared faces."""
    run: RunSettings
    stage: str = "all"
    """One of the recipe's stages, `prepare`, or `all`."""
    masks: Path | None = None
    """Template folder whose masks are worn beside the drawn ones, half and half."""
    init: str | None = None
    """Weights to start the joint stage from: a name of the registry or a file."""
    features: str | None = None
    """Frozen features: a file of VGG-16 or SqueezeNet 1.1 weights; torchvision's VGG-16 when
    None."""
    parsing: Path | None = None
    """Labelled faces in the manner of CelebAMask-HQ, for the parser stage."""
    labels: str = OWN_PARSER
    """Where parsing labels come from: `own` (the parser stage's network, where it was trained),
    `facexlib`, `none`, or a parser file."""
    landmarks: str = "five"
    """`five`, `fan`, or an ONNX landmark file; see `PrepareSettings`."""
    identity: Path | None = None
    """A frozen identity network that another run made; its stage is left out of `all`."""
    minutes: float | None = None
    """Time for the joint stage, which takes as many steps as fit; see `budget`."""
    deadline: Deadline | None = None
    """When the run ends, whatever it has done by then."""
    export_every: float | None = None
    """Seconds from one export of the joint stage's average to the next, beside its training."""
    cache: Path | None = None
    """Folder of the prepared faces; `cache` in the output folder when None."""
    validation_faces: int = 200


def weights_of(run: Path, recipe: Recipe) -> Path:
    """Where the weights of a run's joint stage go."""
    return run / "weights" / f"{recipe.name}.safetensors"
