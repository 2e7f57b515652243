"""The request of a training run, and where the run stores its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jdsr_train.recipe import Recipe
from jdsr_train.training.time_limit import Deadline

OWN_PARSER = "own"


@dataclass(frozen=True)
class RunSettings:
    """Where and how a recipe is run; these settings do not change the result."""

    out: Path
    """Folder of the run, with a folder for each stage."""
    device: str = "cpu"
    workers: int = 1
    """Processes that prepare samples, for each training process."""
    checkpoint_every: int | None = None
    """Steps between checkpoints; None: one minute, in runs of several processes at the next logged
    step."""
    validate_every: int | None = 500
    """Steps between validations and measurements of the gradient shares; None: at the end only."""
    log_every: int = 50
    """Steps between log records."""
    compiled: bool = False
    """Whether to compile the main network (`torch.compile`), which takes about a minute and changes
    the rounding."""


@dataclass(frozen=True)
class TrainRequest:
    """The options of `jdsr train`."""

    recipe: Recipe
    data: Path
    """An official CelebA folder, a folder or archives of faces, or prepared faces."""
    run: RunSettings
    stage: str = "all"
    """A stage of the recipe, `prepare`, or `all`."""
    masks: Path | None = None
    """Folder of mask templates, used as often as the drawn masks."""
    init: str | None = None
    """Initial weights of the joint stage: a name of the registry or a file."""
    features: str | None = None
    """Frozen features: a file of VGG-16 or SqueezeNet 1.1 weights; torchvision's VGG-16 when
    None."""
    parsing: Path | None = None
    """Faces labelled like CelebAMask-HQ, for the parser stage."""
    labels: str = OWN_PARSER
    """Source of the parsing labels: `own` (the parser stage's network if it was trained),
    `facexlib`, `none`, or a parser file."""
    landmarks: str = "five"
    """`five`, `fan`, or an ONNX landmark file; see `PrepareSettings`."""
    identity: Path | None = None
    """A frozen identity network of another run; `all` then skips its stage."""
    minutes: float | None = None
    """Time of the joint stage, which takes as many steps as fit; see `timing`."""
    deadline: Deadline | None = None
    """Time at which the run must end."""
    export_every: float | None = None
    """Seconds between exports of the averaged generator during the joint stage."""
    cache: Path | None = None
    """Folder of the prepared faces; `cache` in the output folder when None."""
    validation_faces: int = 200

    @property
    def cache_folder(self) -> Path:
        """Folder of the prepared faces."""
        return self.cache or self.run.out / "cache"


def stage_weights_path(run: Path, stage: str, recipe: Recipe) -> Path:
    """Return the path of the weights that a stage writes in the folder of a run."""
    if stage == "joint":
        return run / "weights" / f"{recipe.name}.safetensors"
    return run / stage / f"{stage}.safetensors"
