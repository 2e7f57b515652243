"""Options of `jdsr restore`, `crop-faces` and `demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.settings.detection import (
    AUTO,
    DetectionSettings,
    Detector,
    Device,
    Force,
    MinTrack,
)
from jdsr_cli.settings.options import Option, Settings

Precision = Literal["auto", "int8", "float32", "bfloat16", "float16"]
Codec = Literal[
    "auto", "h264", "hevc", "av1", "ffv1", "source", "h264_nvenc", "hevc_nvenc", "av1_nvenc"
]
RestoredPart = Literal["all", "covered", "uncovered"]
"""Which part of a face is replaced: all of it, what a mask covers, or what the camera saw."""
MAX_FUSED_SHOTS = 8
"""Best shots of a track that are fused at most."""
ERROR_BOUNDS = (8, 16, 24, 32, 48)
"""Error bounds in grey levels that weights are calibrated for."""
CONFIDENCES = (80, 90, 95)
"""Probabilities in per cent that weights are calibrated for."""
Weights = Annotated[
    str,
    Option(
        "Weights by name ('jdsr weights list') or file. auto is lite-camera, or on a GPU camera "
        "where that is installed and passes all gates against lite-camera ('jdsr doctor').",
        group="results", metavar="NAME|FILE", affects_result=False,
    ),
]  # fmt: skip


def output_option(help: str = "Folder for the results.", *, default: str | None = None) -> Option:
    """Return the option ``--out`` of a command."""
    return Option(help, group="results", short="-o", metavar="DIR", unset=default)


@dataclass(frozen=True)
class RestoreSettings(DetectionSettings):
    """Every option of `restore`.

    Examples:
        >>> from jdsr_cli import ReadSettings, RestoreSettings
        >>> settings = RestoreSettings(scale=8, reading=ReadSettings(start="1:30", end="2:00"))
        >>> settings.reading.end
        Fraction(120, 1)
        >>> RestoreSettings(scale=3)
        Traceback (most recent call last):
        ...
        jdsr_cli.errors.UsageError: --scale: 3 is not allowed. Give 4 or 8.

    """

    scale: Annotated[
        int,
        Option(
            "Enlargement of face crops and, up to 4096 px, of frames: 4 or 8.",
            group="results", choices=(4, 8),
        ),
    ] = 4  # fmt: skip
    mode: Annotated[
        Literal["both", "paste", "crops"],
        Option(
            "What is written: restored frames (paste), pictures of single faces (crops), or both.",
            group="results",
        ),
    ] = "both"
    crops: Annotated[
        Literal["best", "all"],
        Option(
            "Which faces are written: the best shots and a fused picture of each person (best), "
            "or every face as well (all).",
            group="results",
        ),
    ] = "best"
    restore: Annotated[
        RestoredPart,
        Option(
            "What is restored of a face: all of it (all), only what a mask covers, so that the "
            "rest stays as filmed (covered), or only what the camera saw, so that masks stay and "
            "nothing under them is invented (uncovered).",
            group="results",
        ),
    ] = "all"
    shots: Annotated[
        int,
        Option(
            "Number of best shots of each person.", group="results", metavar="N", low=1, high=100
        ),
    ] = 3
    weights: Weights = AUTO
    stabilise: Annotated[
        bool,
        Option(
            "Smooth restored faces along their track against flicker.",
            group="faces", negatable=True,
        ),
    ] = True  # fmt: skip
    window: Annotated[
        int,
        Option(
            "Frames of a video that each face is restored from: its own, and as many before as "
            "after it in its track, averaged where they agree; 1 is its own alone.",
            group="faces", metavar="N", unit="frames", choices=(1, 3, 5, 7, 9),
        ),
    ] = 1  # fmt: skip
    doubt: Annotated[
        bool,
        Option(
            "Restore each best shot eight times and write which of its pixels keep an error bound; "
            "a shot of which none does is refused.",
            group="faces", negatable=True,
        ),
    ] = True  # fmt: skip
    error_bound: Annotated[
        int,
        Option(
            "Error of a pixel's luma, in canonical colours, up to which it is reliable.",
            group="faces", unit="grey levels of 255", choices=ERROR_BOUNDS,
        ),
    ] = 24  # fmt: skip
    confidence: Annotated[
        int,
        Option(
            "Share of the pixels called reliable whose error is within the bound, as a mean over "
            "faces like those of the calibration.",
            group="faces", unit="%", choices=CONFIDENCES,
        ),
    ] = 90  # fmt: skip
    frame_scale: Annotated[
        int | None,
        Option(
            "Enlargement of whole frames.",
            group="encoding", low=1, high=8,
            unset="--scale, less where a side would pass 4096 px",
        ),
    ] = None  # fmt: skip
    batch: Annotated[
        int,
        Option(
            "Most faces in one batch of the generator; on a CPU fewer are as fast.",
            unit="faces",
            low=1,
            affects_result=False,
        ),
    ] = 32
    precision: Annotated[
        Precision, Option("Arithmetic of the generator.", affects_result=False)
    ] = "auto"
    codec: Annotated[
        Codec,
        Option(
            "Video codec of restored frames: auto is h264, or hevc for more than 8 bits per "
            "channel; ffv1 is lossless, source is the input's, those with nvenc are encoded by an "
            "NVIDIA GPU.",
            group="encoding",
        ),
    ] = "auto"
    crf: Annotated[
        int | None,
        Option(
            "Constant rate factor of the encoder; 0 is the best quality.",
            group="encoding", low=0, high=63, unset="visually lossless, by codec",
        ),
    ] = None  # fmt: skip
    label: Annotated[
        bool,
        Option("Draw a small visible label on restored frames.", group="encoding", negatable=True),
    ] = True
    overlay: Annotated[
        bool,
        Option(
            "Write a second video with boxes, track numbers and refused faces.", group="encoding"
        ),
    ] = False
    sign: Annotated[
        tuple[Path, Path] | None,
        Option(
            "Sign pictures and videos with C2PA content credentials: PEM files of the certificate "
            "chain and of its private key. JDSR_SIGN_PASSWORD is the password of an encrypted key.",
            group="results", metavar="CERT KEY", affects_result=False, recorded=False,
            form="the files of the certificate chain and of its private key",
        ),
    ] = None  # fmt: skip
    report: Annotated[
        bool,
        Option(
            "Write report.html for each input, and index.html for two or more results.",
            group="results", negatable=True, affects_result=False,
        ),
    ] = True  # fmt: skip
    compare: Annotated[
        bool,
        Option(
            "Write a video that shows the enlarged input on the left and the result on the right.",
            group="encoding",
        ),
    ] = False
    compare_boxes: Annotated[
        bool,
        Option("Draw boxes and track numbers on both pictures of --compare.", group="encoding"),
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.compare and not self.pastes:
            raise UsageError(
                "there is no restored frame to compare with (--mode crops)",
                where="--compare",
                hint="Use --mode paste or both; pictures of faces show the input beside the "
                "result already.",
            )
        if self.compare_boxes and not self.compare:
            raise UsageError(
                "boxes are drawn on a comparison, which is not written",
                where="--compare-boxes",
                hint="Add --compare; --overlay draws boxes on the input alone.",
            )

    @property
    def pastes(self) -> bool:
        """Whether restored frames are written."""
        return self.mode != "crops"

    @property
    def exports_crops(self) -> bool:
        """Whether pictures of single faces are written."""
        return self.mode != "paste"

    @property
    def selects_shots(self) -> bool:
        """Whether only the best shots of each person are restored."""
        return self.mode == "crops" and self.crops == "best"

    @property
    def kept_shots(self) -> int:
        """Number of shots of a person that are kept, to be written or fused."""
        return max(self.shots, MAX_FUSED_SHOTS)

    @property
    def trims(self) -> bool:
        """Whether a part of the input is left out."""
        return self.reading.trims


@dataclass(frozen=True)
class CropSettings(DetectionSettings):
    """Every option of `crop_faces`.

    Examples:
        >>> from jdsr_cli import CropSettings
        >>> CropSettings(size=256, detect_every=5).min_track
        0.0

    """

    min_track: MinTrack = 0.0
    size: Annotated[
        int,
        Option(
            f"Side of the crops; {TEMPLATE_SIZE} is the size of the training template.",
            group="results", metavar="PX", unit="px", low=16, high=1024,
        ),
    ] = TEMPLATE_SIZE  # fmt: skip


@dataclass(frozen=True)
class TerminalOptions(Settings):
    """What every longer command shows on the terminal."""

    quiet: Annotated[bool, Option("Show results and errors only.", group="command", short="-q")] = (
        False
    )


@dataclass(frozen=True)
class RunOptions(TerminalOptions):
    """Options of a command that can show its plan instead."""

    dry_run: Annotated[
        bool,
        Option(
            "Show what would be done and how long it would take, and do nothing.", group="command"
        ),
    ] = False
    stdin: Annotated[
        bool,
        Option(
            "Read a stream from standard input, given as the input -, into a temporary file in "
            "the folder of results.",
            group="command",
        ),
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stdin and self.dry_run:
            raise UsageError(
                "a stream cannot be planned, since that would use it up",
                where="--dry-run",
                hint="Store it in a file first.",
            )


Config = Annotated[
    Path | None,
    Option(
        "TOML file with any of these options, such as min-face = 16. The command line takes "
        "precedence over the file.",
        group="command", metavar="FILE",
    ),
]  # fmt: skip


@dataclass(frozen=True)
class RestoreOptions(RunOptions):
    """Options of `jdsr restore` beside `RestoreSettings`."""

    out: Annotated[Path, output_option()] = Path("jdsr-out")
    config: Config = None


@dataclass(frozen=True)
class WatchOptions(TerminalOptions):
    """Options of `jdsr watch` beside those of `restore`."""

    out: Annotated[Path, output_option()] = Path("jdsr-out")
    settle: Annotated[
        float,
        Option(
            "How long size and modification time of a recording must stay the same before it "
            "counts as finished.",
            group="watching", metavar="S", unit="s", low=0.0, high=86400.0,
        ),
    ] = 30.0  # fmt: skip
    poll: Annotated[
        float,
        Option(
            "Time between two looks at the folder.",
            group="watching", metavar="S", unit="s", above=0.0, high=3600.0,
        ),
    ] = 5.0  # fmt: skip
    once: Annotated[
        bool,
        Option("Process what is finished now, and exit.", group="watching"),
    ] = False
    config: Config = None


@dataclass(frozen=True)
class CropOptions(RunOptions):
    """Options of `jdsr crop-faces` beside `CropSettings`."""

    out: Annotated[Path, output_option()] = Path("jdsr-faces")
    config: Config = None


@dataclass(frozen=True)
class DemoOptions(TerminalOptions):
    """Options of `jdsr demo` beside `DemoSettings`."""

    out: Annotated[Path, output_option()] = Path("jdsr-demo")


@dataclass(frozen=True)
class DemoSettings(Settings):
    """Options of `jdsr demo`."""

    weights: Weights = RestoreSettings.weights
    detector: Detector = RestoreSettings.detector
    device: Device = RestoreSettings.device
    force: Force = RestoreSettings.force

    @property
    def restoration(self) -> RestoreSettings:
        """Settings of the restoration that the demo runs."""
        return RestoreSettings(
            weights=self.weights,
            detector=self.detector,
            device=self.device,
            force=self.force,
            crops="all",
        )
