"""Options of `jdsr train` and `jdsr weights`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from jdsr_cli.errors import UsageError
from jdsr_cli.settings.detection import AUTO, Device
from jdsr_cli.settings.options import Option, Settings
from jdsr_cli.settings.restoration import output_option

StoredPrecision = Literal["float16", "bfloat16"]
"""Of the values in a weight file: float16 has 11 significant bits and ends at 65,504; bfloat16 has
8 and the range of float32."""


Model = Literal[
    "lite", "paper",
    "cbdnet", "srfbn", "drn", "drn_large", "sicnn", "fsrnet", "fsrgan", "dic", "dicgan",
]  # fmt: skip
"""What `jdsr train` trains at x4 and x8: our light generator, the paper's, and the systems that the
paper compares with."""


@dataclass(frozen=True)
class TrainSettings(Settings):
    """Options of `jdsr train`."""

    data: Annotated[
        Path,
        Option(
            "Official CelebA folder, folder of face pictures, or aligned 128x128 faces (train*.tar "
            "and val*.tar, or pictures, with landmarks68.npz or faces.csv).",
            metavar="DIR",
        ),
    ]
    out: Annotated[
        Path | None,
        output_option(
            "Folder of the run, or of a plan's runs.", default="runs/RECIPE, or runs/PLAN"
        ),
    ] = None
    scale: Annotated[
        int | None,
        Option(
            "Enlargement, 4 or 8; selects the recipe of the model where none is named.",
            choices=(4, 8), unset="that of the recipe; 4 without one",
        ),
    ] = None  # fmt: skip
    model: Annotated[
        Model | None,
        Option(
            "Model that is trained, by the recipe MODEL_x<scale>; paper is that of the paper, lite "
            "our light one, the others are those that the paper compares with.",
            unset="lite",
        ),
    ] = None  # fmt: skip
    recipe: Annotated[
        str | None,
        Option("Recipe by name or TOML file.", metavar="NAME|FILE", unset="that of the model"),
    ] = None
    plan: Annotated[
        str | None,
        Option(
            "Train the recipes of a plan in turn: reproduce, equal_budget, or a TOML file. The "
            "same command continues; finished jobs are not started again.",
            metavar="NAME|FILE", unset="one recipe",
        ),
    ] = None  # fmt: skip
    stage: Annotated[
        str,
        Option(
            "Stage that is run: prepare, parser, identity, denoise or joint; all runs those of the "
            "recipe in turn."
        ),
    ] = "all"
    masks: Annotated[
        Path | None,
        Option("Mask templates that are used beside the drawn masks.", metavar="DIR"),
    ] = None
    landmarks: Annotated[
        str,
        Option(
            "Landmarks that the prior network learns: those of the data (five), those of "
            "facexlib's FAN (fan), or those of an ONNX network.",
            metavar="five|fan|FILE",
        ),
    ] = "five"
    parsing: Annotated[
        Path | None,
        Option("Faces labelled as in CelebAMask-HQ, for the parser stage.", metavar="TAR|DIR"),
    ] = None
    labels: Annotated[
        str,
        Option(
            "Network that labels the parts of faces: the parser of the run (own), facexlib's, "
            "none, or that of a file.",
            metavar="own|facexlib|none|FILE",
        ),
    ] = "own"
    features: Annotated[
        str | None,
        Option(
            "Frozen feature network: file of VGG-16 or SqueezeNet 1.1 weights, or vgg16 to "
            "download torchvision's (528 MB).",
            metavar="FILE|vgg16", unset="torchvision's VGG-16 if it is in its cache",
        ),
    ] = None  # fmt: skip
    init: Annotated[
        str | None,
        Option(
            "Weights whose matching tensors the training starts from; for srfbn and drn also their "
            "published state dicts.",
            metavar="NAME|FILE",
        ),
    ] = None  # fmt: skip
    identity: Annotated[
        Path | None,
        Option("Identity network of another run, used instead of training one.", metavar="FILE"),
    ] = None
    cache: Annotated[
        Path | None,
        Option("Folder of prepared faces; runs can share it.", metavar="DIR", unset="OUT/cache"),
    ] = None
    minutes: Annotated[
        float | None,
        Option(
            "Give the joint stage as many steps as fit into this time on this machine, on a CPU "
            "with one thread into this much processor time. The same command continues with the "
            "number of steps of its first start.",
            unit="min", low=0.1,
        ),
    ] = None  # fmt: skip
    deadline: Annotated[
        float | None,
        Option(
            "Finish this long after the start at any speed: every stage gets a share of the time "
            "and its schedule ends with it. What does not fit is left out and recorded with the "
            "weights.",
            metavar="SECONDS", unit="s", low=1.0,
        ),
    ] = None  # fmt: skip
    export_every: Annotated[
        float | None,
        Option(
            "Write the weights this often during the joint stage.",
            metavar="SECONDS", unit="s", low=1.0,
        ),
    ] = None  # fmt: skip
    steps: Annotated[
        int | None,
        Option("Optimiser steps of every stage instead of the recipe's, for a trial.", low=1),
    ] = None
    device: Device = AUTO
    workers: Annotated[
        int, Option("Processes that prepare samples; 0 prepares them in the main process.", low=0)
    ] = 1
    checkpoint_every: Annotated[
        int | None,
        Option("Optimiser steps between checkpoints.", low=1, unset="about a minute"),
    ] = None
    validate_every: Annotated[
        int | None,
        Option(
            "Optimiser steps between validations.",
            low=1, unset="500; with --deadline at the end of a stage",
        ),
    ] = None  # fmt: skip
    validation_faces: Annotated[
        int,
        Option(
            "Validation faces that are measured, evenly spaced; fewer make validations of large "
            "networks on a CPU short.",
            unit="faces", low=1,
        ),
    ] = 200  # fmt: skip
    processes: Annotated[
        int,
        Option(
            "Processes that share every step: one for each GPU, or single-threaded ones for the "
            "otherwise idle cores of a CPU. With --plan, 1 means as many as the plan says, or one "
            "GPU with --device cuda:0.",
            low=1,
        ),
    ] = 1
    compiled: Annotated[
        bool,
        Option(
            "Compile the trained network (torch.compile), which takes a minute or more and pays "
            "off in long runs.",
            name="compile",
        ),
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        lengths = {
            "--steps": self.steps, "--minutes": self.minutes, "--deadline": self.deadline,
        }  # fmt: skip
        if self.model is not None and self.recipe is not None:
            raise UsageError("--model and --recipe exclude each other", hint="Leave one out")
        given = [name for name, value in lengths.items() if value is not None]
        if len(given) > 1 and "--minutes" in given:
            raise UsageError(f"{' and '.join(given)} exclude each other", hint="Leave one out")
        if self.plan is not None:
            self._check_plan()

    def _check_plan(self) -> None:
        """Refuse the options of a single run."""
        single = {
            "--recipe": self.recipe is not None, "--model": self.model is not None,
            "--scale": self.scale is not None, "--stage": self.stage != "all",
            "--init": self.init is not None, "--deadline": self.deadline is not None,
        }  # fmt: skip
        refused = next((name for name, given in single.items() if given), None)
        if refused is not None:
            raise UsageError(
                f"{refused} is for a single run and not for a plan",
                where="--plan",
                hint="Leave it out; the plan states what its jobs train",
            )


@dataclass(frozen=True)
class FetchSettings(Settings):
    """Options of `jdsr weights fetch`."""

    source: Annotated[
        str | None,
        Option(
            "Folder that contains the files, or https:// address of such a folder.",
            name="from", metavar="FOLDER|ADDRESS", variable="JDSR_WEIGHTS_SOURCE",
            unset="the address that is recorded for each file",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True)
class ExportSettings(Settings):
    """Options of `jdsr weights export`."""

    out: Annotated[
        Path | None,
        Option(
            "Weight file; its entry is added to manifest.toml beside it.",
            short="-o", metavar="FILE", unset="RUN/weights/RECIPE.safetensors",
        ),
    ] = None  # fmt: skip
    precision: Annotated[
        StoredPrecision,
        Option("Format of the values; bfloat16 is for weights beyond the range of float16."),
    ] = "float16"


@dataclass(frozen=True)
class ChainSettings(ExportSettings):
    """Options of `jdsr weights chain`."""

    out: Annotated[
        Path | None,
        Option(
            "Weight file, after which the chain is named; its entry is added to manifest.toml "
            "beside it.",
            short="-o", metavar="FILE", unset="cbd_<super-resolver>_x<scale>.safetensors",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True)
class NetworkExportSettings(Settings):
    """Options of `jdsr export`."""

    onnx: Annotated[Path, Option("ONNX file to be written.", metavar="FILE")]
    weights: Annotated[str, Option("Weights by name or safetensors file.", metavar="NAME|FILE")] = (
        "lite-camera"
    )
    int8: Annotated[
        Path | None,
        Option(
            "Folder of inputs of the generator, as `jdsr eval --write-inputs` writes them: "
            "convolutions become int8, calibrated on these pictures.",
            metavar="DIR", unset="float32",
        ),
    ] = None  # fmt: skip
